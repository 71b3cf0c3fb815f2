//! Problems of the input, with their places.

use std::sync::Arc;

use super::{LineColumn, Source, Span, decode::DecodeError};

/// A part of the input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", self.place())]
pub struct Problem {
    /// The file or directory, as it was given.
    pub file: String,
    /// The text and the place in it; `None` if the file as a whole is the problem.
    pub at: Option<(Arc<Source>, Span)>,
    /// The cause.
    pub error: ManifestError,
}

/// The cause of a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file system returned an error.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    /// A directory without manifests: most likely the wrong one.
    #[error("no manifests in this directory: name one with `.yaml`, `.yml` or `.json` files")]
    Empty,
    /// More than a dump of a very large cluster. The value is the limit in MiB.
    #[error("the input is larger than {0} MiB: pass only the kinds that Lockstep checks")]
    TooLarge(usize),
    /// Neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("the text is neither UTF-8 nor UTF-16: save it as UTF-8")]
    NotText,
    /// Not YAML, in the parser's words.
    #[error("this is not valid YAML: {0}")]
    Syntax(String),
    /// A template's braces where a value is expected.
    #[error(
        "this is a template, not a manifest: render it first, as in `helm template . | lockstep check -`"
    )]
    Template,
    /// A variable where YAML allows none.
    #[error(
        "this has variables such as `${{NAME}}`: replace them first, as in `envsubst < FILE | lockstep check -`"
    )]
    Variables,
    /// A repeated key. kubectl silently keeps only the last one.
    #[error("the key `{0}` stands twice in the same map: remove one of them")]
    DuplicateKey(String),
    /// A list, a map or null as a key.
    #[error("a key must be a string: put it in quotes")]
    Key,
    /// An alias without its anchor.
    #[error("the anchor of this alias is not defined before it: define it with `&`")]
    UnknownAnchor,
    /// `.inf` or `.nan`.
    #[error("`{0}` is not a number in JSON: put it in quotes")]
    NotFinite(String),
    /// Aliases that multiply, or nesting that is too deep.
    #[error("this is too large once its aliases are expanded, or nested too deeply: simplify it")]
    Budget,
    /// A value that the API server would reject.
    #[error("{0}")]
    Field(#[from] DecodeError),
    /// An object without a name.
    #[error("`metadata.name` is missing: the API server rejects an object without a name")]
    NoName,
    /// A recorded `AdmissionReview` that the webhook could not read.
    #[error("this recorded request cannot be replayed: {0}")]
    Review(String),
    /// An edit whose parent is not an object.
    #[error("the object cannot be edited: {0}")]
    Edit(String),
    /// A topology that cannot be used.
    #[error("{0}")]
    Topology(String),
    /// A document that cannot be parsed and names a `GatewayTopology`. The error is the parser's.
    #[error("{0}")]
    UnparsedTopology(Box<Self>),
    /// A kind or version that the API server does not know, next to one that Lockstep reads.
    #[error("{0}")]
    UnknownKind(String),
    /// The same object twice in one cluster, with other content.
    #[error("{text}")]
    Duplicate {
        /// The objects, both places, and what to do.
        text: String,
        /// Whether it is a topology.
        is_topology: bool,
    },
    /// An input without any object.
    #[error(
        "the input holds no object, so nothing was checked: pass manifests, or `--allow-empty` if that is right"
    )]
    NoObject,
    /// An input in which every manifest is left out.
    #[error(
        "nothing was checked: every manifest of the input is the source of a tool; the notes name the command that renders it"
    )]
    OnlySources,
}

/// An object that cannot be used, and which value of it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ObjectError {
    /// The reference tokens of the path to the value, from the root of the object.
    pub path: Vec<String>,
    /// The cause.
    pub error: ManifestError,
}

impl From<DecodeError> for ObjectError {
    fn from(error: DecodeError) -> Self {
        Self { path: error.tokens.clone(), error: ManifestError::Field(error) }
    }
}

impl Problem {
    /// A problem of a file as a whole.
    #[must_use]
    pub fn of_file(file: impl Into<String>, error: ManifestError) -> Self {
        Self { file: file.into(), at: None, error }
    }

    /// A problem at a place in a text.
    #[must_use]
    pub fn at(source: &Arc<Source>, span: Span, error: ManifestError) -> Self {
        Self { file: source.name().to_owned(), at: Some((Arc::clone(source), span)), error }
    }

    /// The line and column; `None` if the file as a whole is the problem.
    #[must_use]
    pub fn line_column(&self) -> Option<LineColumn> {
        let (source, span) = self.at.as_ref()?;
        Some(source.line_column(span.start))
    }

    /// Whether a topology cannot be used, so that verdicts would follow the wrong one.
    #[must_use]
    pub fn hides_a_topology(&self) -> bool {
        matches!(
            self.error,
            ManifestError::Topology(_)
                | ManifestError::UnparsedTopology(_)
                | ManifestError::Duplicate { is_topology: true, .. }
        )
    }

    /// Whether the file is a template, not a manifest.
    #[must_use]
    pub fn is_template(&self) -> bool {
        let error = match &self.error {
            ManifestError::UnparsedTopology(error) => error,
            error => error,
        };
        *error == ManifestError::Template
    }

    /// The place as `file:line:column`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line_column() {
            Some(LineColumn { line, column }) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        }
    }
}
