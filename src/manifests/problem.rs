//! What can be wrong with the input, and where.

use std::sync::Arc;

use super::{LineColumn, Source, Span, decode::DecodeError};

/// Something in the input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", self.place())]
pub struct Problem {
    /// The file or directory, as it was given.
    pub file: String,
    /// The text and the place in it, where there is one.
    pub at: Option<(Arc<Source>, Span)>,
    /// What is wrong.
    pub error: ManifestError,
}

/// What is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file system says no.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// A directory was given that holds no manifest: most likely the wrong one.
    #[error(
        "the directory holds no manifest: give one with files whose names end in `.yaml`, `.yml` or `.json`"
    )]
    Empty,
    /// More than a set of manifests can be.
    #[error("the input is larger than {0} MiB: give only the kinds that Lockstep judges")]
    TooLarge(usize),
    /// Neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("the text is neither UTF-8 nor UTF-16: save it as UTF-8")]
    NotText,
    /// Not YAML.
    #[error("this is not valid YAML: {0}")]
    Syntax(String),
    /// The braces of a template where a value should be.
    #[error(
        "this is a template, not a manifest: render it first, as in `helm template . | lockstep check -`"
    )]
    Template,
    /// kubectl takes the last one and drops the others without a word.
    #[error("the key `{0}` stands twice in the same map: remove one of them")]
    DuplicateKey(String),
    /// A list, a map or null as a key.
    #[error("a key must be text: put it in quotes")]
    Key,
    /// An alias without its anchor.
    #[error("there is no anchor of this name before the alias: define it with `&` first")]
    UnknownAnchor,
    /// `.inf`, `.nan`.
    #[error("`{0}` is no number that JSON can hold: put it in quotes")]
    NotFinite(String),
    /// Aliases that multiply, or nesting without end.
    #[error("this is too large once its aliases are expanded, or nested too deeply: simplify it")]
    Budget,
    /// A value that the API server would refuse.
    #[error("{0}")]
    Field(#[from] DecodeError),
    /// An object without a name.
    #[error("`metadata.name` is missing: the API server refuses an object without a name")]
    NoName,
    /// A recorded request that is none.
    #[error("this recorded request cannot be replayed: {0}")]
    Review(String),
    /// An edit that the object has no room for.
    #[error("the object cannot be edited: {0}")]
    Edit(String),
    /// A topology that cannot be used.
    #[error("{0}")]
    Topology(String),
}

impl Problem {
    /// A problem with a file as a whole.
    #[must_use]
    pub fn of_file(file: impl Into<String>, error: ManifestError) -> Self {
        Self { file: file.into(), at: None, error }
    }

    /// A problem at a place in a text.
    #[must_use]
    pub fn at(source: &Arc<Source>, span: Span, error: ManifestError) -> Self {
        Self { file: source.name().to_owned(), at: Some((Arc::clone(source), span)), error }
    }

    /// The line and column, where there is a place.
    #[must_use]
    pub fn line_column(&self) -> Option<LineColumn> {
        let (source, span) = self.at.as_ref()?;
        Some(source.line_column(span.start))
    }

    /// Whether this hides a topology, so that verdicts would be made by the wrong one.
    #[must_use]
    pub fn hides_a_topology(&self) -> bool {
        matches!(self.error, ManifestError::Topology(_))
    }

    /// `file:line:column`, as far as it is known.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line_column() {
            Some(LineColumn { line, column }) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        }
    }
}
