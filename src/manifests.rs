//! Manifests on disk: from files to the facts that rules read and the objects that they judge.
//!
//! What is read here is what the API server would receive: YAML is read the way kubectl reads it, lists are
//! unfolded, and an object that the API server would refuse is a [`Problem`] at its line and column.
//!
//! Invariant: this module knows files and text. It knows no rule, and it prints nothing.

mod decode;
mod inventory;
mod kinds;
mod list;
mod parse;
mod position;
mod problem;
mod read;
mod source;
mod subject;
#[cfg(test)]
mod tests;
mod tree;

pub use decode::DecodeError;
pub use inventory::inventory;
pub use position::{Place, Positions};
pub use problem::{ManifestError, Problem};
pub use read::{Loaded, load};
pub use source::{LineColumn, Source, Span};
pub use subject::{Candidate, Subject, subjects};

use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldPath;

/// The name of what comes from standard input.
pub const STDIN: &str = "<stdin>";

/// One object of a manifest.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text it stands in.
    pub source: Arc<Source>,
    /// The object.
    pub value: Value,
    /// Where each of its fields stands in the source.
    pub positions: Positions,
}

impl Document {
    /// Where a field stands, or the nearest of its parents that is there.
    #[must_use]
    pub fn place(&self, field: &FieldPath) -> Place {
        self.positions.find(field.tokens())
    }

    /// Where the object begins.
    #[must_use]
    pub fn start(&self) -> LineColumn {
        self.source.line_column(self.positions.value().start)
    }
}
