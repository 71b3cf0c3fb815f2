//! What is kept of one review. Never the object, and nothing of which a stranger decides the length.

use std::borrow::Cow;

use json_patch::Patch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lockstep_core::escape::cut;
use lockstep_core::escape::write_json;

/// The longest name, in bytes. The API server's names are shorter; a stranger's may be megabytes.
const NAME_LIMIT: usize = 512;
/// The longest group, field or witness, in bytes.
const PIECE_LIMIT: usize = 512;
/// The longest message, in bytes.
const MESSAGE_LIMIT: usize = 2048;

/// One review and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// Which of the two webhooks was called: `mutate` or `validate`.
    pub webhook: Cow<'a, str>,
    /// `allow`, `edit` or `deny`.
    pub verdict: Cow<'a, str>,
    /// The rule that spoke: that of the most severe finding, or of the first edit where there is no finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// Its reason code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The topology on whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology<'a>>,
    /// The uid of the `AdmissionReview`; the audit annotation `uid` in the API server's audit log.
    pub uid: Cow<'a, str>,
    /// Who asked.
    pub user: Cow<'a, str>,
    /// The groups that the user was in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Cow<'a, str>>,
    /// How many more groups there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_groups: usize,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'a, str>,
    /// The kind of the object.
    pub kind: Cow<'a, str>,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub namespace: Cow<'a, str>,
    /// Its name; missing where the API server had not made one up yet.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub name: Cow<'a, str>,
    /// What the API server was to begin the name with.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub generate_name: Cow<'a, str>,
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// What the rules saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding<'a>>,
    /// How many more findings there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_findings: usize,
    /// What was changed, as a JSON patch (RFC 6902).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    pub edits: Option<Cow<'a, Patch>>,
    /// Why the review could not be read, for which it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// What it was judged by; missing where the review could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// From the whole request to its answer.
    pub latency_microseconds: u64,
}

/// A topology, as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// `metadata.generation` of what was in force; 0 where it came from a file without one.
    pub generation: i64,
}

/// One thing that a rule saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding<'a> {
    /// The rule.
    pub rule: Cow<'a, str>,
    /// The reason code.
    pub reason: Cow<'a, str>,
    /// `deny`, `warn` or `audit`.
    pub severity: Cow<'a, str>,
    /// The topology on whose behalf.
    pub topology: Cow<'a, str>,
    /// The field of the object.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub field: Cow<'a, str>,
    /// What is wrong.
    pub message: Cow<'a, str>,
    /// A node that proves it: reads after "a node".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Cow<'a, str>>,
    /// Some of that day's nodes that it concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Cow<'a, str>>,
    /// How many more of them the rule named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_nodes: usize,
}

/// Which snapshot of the cluster a review was judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The snapshots of a process are numbered from 1.
    pub snapshot: u64,
    /// How long it had been in use. Nothing that a rule could see had changed since; how fresh the watches are is
    /// another question, which metrics answer.
    pub age_microseconds: u64,
}

impl Record<'_> {
    /// How many groups a record names.
    pub const GROUPS: usize = 32;
    /// How many findings.
    pub const FINDINGS: usize = 8;
    /// How many nodes, for each finding.
    pub const NODES: usize = 8;

    /// Appends the record to `out`, as a JSON object on one line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Texts, numbers, booleans and a patch always serialise, and a vector takes all.
        let _ = write_json(self, out);
    }
}

/// Texts, cut to what a record has room for.
pub mod bounded {
    use super::{Cow, MESSAGE_LIMIT, NAME_LIMIT, PIECE_LIMIT, cut};

    /// A name of whatever kind.
    #[must_use]
    pub fn name(text: &str) -> Cow<'_, str> {
        cut(text, NAME_LIMIT).into()
    }

    /// A sentence.
    #[must_use]
    pub fn message(text: &str) -> Cow<'_, str> {
        cut(text, MESSAGE_LIMIT).into()
    }

    /// A field, a witness or a group.
    #[must_use]
    pub fn piece(mut text: String) -> Cow<'static, str> {
        text.truncate(cut(&text, PIECE_LIMIT).len());
        text.into()
    }
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}
