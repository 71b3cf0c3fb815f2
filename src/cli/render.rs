//! The output formats of `check`, one file each.

mod excerpt;
mod github;
mod html;
mod human;
mod json;
mod junit;
mod markdown;
mod repository;
mod sarif;
mod wrap;

pub(super) use github::github;
pub(super) use html::html;
pub(super) use human::human;
pub(super) use json::json;
pub(super) use junit::junit;
pub(super) use lockstep_core::escape::escape as printable;
pub(super) use markdown::markdown;
pub(super) use sarif::sarif;

use serde_json::Value;

use crate::verdict::Edit;

/// Options of the output.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    /// Whether edits count as rejections.
    pub(super) is_strict: bool,
    /// Whether only rejections are printed.
    pub(super) is_quiet: bool,
    /// Whether text for people has colours.
    pub(super) has_color: bool,
    /// The width of the terminal in columns, at which text for people wraps; `None` in files and pipes.
    pub(super) width: Option<usize>,
}

/// Returns a sentence such as `` `spec.nodeSelector[a]` would be set to `b` ``.
fn edit_sentence(edit: &Edit) -> String {
    let value = match &edit.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("`{}` would be set to `{value}`", edit.field)
}

/// Returns the message, and the remedy if there is one.
fn with_help(message: &str, help: &str) -> String {
    if help.is_empty() { message.to_owned() } else { format!("{message}; {help}") }
}

/// Returns the place of a code in the documentation.
pub(super) fn docs_url(code: &str) -> String {
    format!("{}/blob/main/docs/reasons.md#{code}", env!("CARGO_PKG_REPOSITORY"))
}
