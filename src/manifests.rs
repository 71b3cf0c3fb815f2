//! Manifests: files and standard input, read into what a snapshot is made of and what rules judge.
//!
//! Manifests are read as the API server would receive them: YAML as kubectl reads it, lists unfolded. An object that the API
//! server would reject is a [`Problem`] with its line and column. Objects that were listed from a cluster are decoded by the
//! same functions ([`Content::of`], [`add_state`]).
//!
//! Invariant: this module reads files and text. It knows no rule, and it prints nothing.

mod content;
mod decode;
mod fields;
mod folder;
mod kinds;
mod kustomization;
mod list;
mod load;
mod problem;
mod renderer;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod yaml;

pub use content::{Candidate, Content, add, inventory};
pub use decode::DecodeError;
pub use fields::{UnusedField, unused_fields};
pub use folder::{LeftOut, LeftOutReason, Selection};
pub use kinds::{holds_objects, not_judged, unread_template};
pub use load::{Loaded, load, load_each, load_selected, load_text};
pub use problem::{ManifestError, ObjectError, Problem};
pub use renderer::Renderer;
pub use source::{LineColumn, Place, Positions, Source, Span};
pub use state::{add_assessed, add_state, changes, state};

use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldPath;

/// The name of standard input in messages.
pub const STDIN: &str = "<stdin>";

/// Parses a source and hands out every object in it, lists unfolded. Returns the parts that cannot be parsed.
pub fn parse(source: &Arc<Source>, each: &mut dyn FnMut(Document)) -> Vec<Problem> {
    yaml::parse(source, each)
}

/// One object of a manifest.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text that contains it.
    pub source: Arc<Source>,
    /// The object.
    pub value: Value,
    /// Where each of its fields is in the source.
    pub positions: Positions,
}

impl Document {
    /// The value of a field; `None` if it is not set.
    #[must_use]
    pub fn at(&self, field: &FieldPath) -> Option<&Value> {
        field.tokens().try_fold(&self.value, |value, token| value.get(token.as_ref()))
    }

    /// The place of a field, or of its nearest parent that is set.
    #[must_use]
    pub fn place(&self, field: &FieldPath) -> Place {
        self.positions.find(field.tokens())
    }

    /// An error of the object, at the place of the value.
    #[must_use]
    pub fn problem(&self, error: ObjectError) -> Problem {
        Problem::at(&self.source, self.positions.find(&error.path).mark, error.error)
    }

    /// The line and column where the object begins.
    #[must_use]
    pub fn start(&self) -> LineColumn {
        self.source.line_column(self.positions.value().start)
    }
}
