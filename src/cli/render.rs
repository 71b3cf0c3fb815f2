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

use crate::cli::check_report::{CheckReport, ReportedTopology};
use crate::cli::output::count;
use crate::reach::Reach;
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

/// Returns the numbers of the report in a sentence.
fn counts(report: &CheckReport, is_strict: bool) -> String {
    let counts = report.counts();
    let strictly = if is_strict && counts.edited > 0 { " (which --strict rejects)" } else { "" };
    let problems = match counts.problems {
        0 => String::new(),
        some => format!(", {}", count(some, "problem")),
    };
    format!(
        "{} judged: {} denied, {} would be changed{strictly}, {}{problems}",
        count(counts.judged, "object"),
        counts.denied,
        counts.edited,
        count(counts.warnings, "warning")
    )
}

/// Returns the name and conditions of a topology, with the message of the first that does not hold, and that message.
fn conditions(topology: &ReportedTopology) -> (String, Option<String>) {
    let ReportedTopology { cluster, state, .. } = topology;
    let conditions = state.conditions();
    let words: Vec<String> =
        conditions.iter().map(|condition| format!("{} {}", condition.kind, condition.word())).collect();
    let reported = [Some(false), None]
        .into_iter()
        .find_map(|status| conditions.iter().find(|condition| condition.status == status))
        .map(|condition| condition.message.clone());
    let message = reported.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    let cluster = cluster.as_ref().map(|cluster| format!(" of `{cluster}`")).unwrap_or_default();
    (format!("`{}`{cluster}: {}{message}", state.name, words.join(", ")), reported)
}

/// Returns the numbers of what a topology covers in a sentence without a subject.
fn covered(reach: &Reach) -> String {
    let bgp = match reach.bgp_advertisements {
        0 => String::new(),
        some => format!(", {}", count(some, "BGPAdvertisement")),
    };
    format!(
        "covers {}, {}{bgp} and {}, and {} of {}",
        count(reach.services, "Service"),
        count(reach.pods, "pod"),
        count(reach.advertisements, "L2Advertisement"),
        reach.pools,
        count(reach.named_pools, "pool")
    )
}

/// Returns the place of a code in the documentation.
pub(super) fn docs_url(code: &str) -> String {
    format!("{}/blob/main/docs/reasons.md#{code}", env!("CARGO_PKG_REPOSITORY"))
}
