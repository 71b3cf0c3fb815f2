//! The record of one review. It never holds the object, and every text in it is bounded: strangers choose names and labels.

use std::borrow::Cow;

use json_patch::Patch;
use lockstep_core::escape::{cut, write_json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The maximum length of a name, group, field or witness, in bytes. The API server's names are shorter; names in a
/// hostile request may be megabytes.
const NAME_LIMIT: usize = 512;
/// The maximum length of a message, in bytes.
const MESSAGE_LIMIT: usize = 2048;

/// One review and its verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// The webhook that was called: `mutate` or `validate`.
    pub webhook: Cow<'a, str>,
    /// The authentication of the caller of the webhook: `client_certificate` for the API server's certificate, `none` for a
    /// caller that may be anyone on the network. Records of versions before 0.2 have no such field.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub authentication: Cow<'a, str>,
    /// `allow`, `edit` or `deny`.
    pub verdict: Cow<'a, str>,
    /// The rule of the most severe finding, or of the first edit if there is no finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// The reason code of that finding or edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The topology that the finding or edit is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<RecordedTopology<'a>>,
    /// The uid of the `AdmissionReview`, which the API server's audit log has as the annotation `uid`.
    pub uid: Cow<'a, str>,
    /// The trace that the API server's call belongs to (W3C Trace Context), 32 hexadecimal digits; missing if its tracing is off.
    /// Records of versions before 0.2 have no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{32}$"))]
    pub trace_id: Option<Cow<'a, str>>,
    /// The user who made the request.
    pub user: Cow<'a, str>,
    /// The groups of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Cow<'a, str>>,
    /// The number of further groups, which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_groups: usize,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'a, str>,
    /// The kind of the object.
    pub kind: Cow<'a, str>,
    /// The namespace of the object.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub namespace: Cow<'a, str>,
    /// The name of the object; missing if the API server had not generated it yet.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub name: Cow<'a, str>,
    /// The prefix from which the API server generates the name.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub generate_name: Cow<'a, str>,
    /// Whether the request was a dry run.
    pub dry_run: bool,
    /// The findings of the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<RecordedFinding<'a>>,
    /// The number of further findings, which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_findings: usize,
    /// The edits, as a JSON patch (RFC 6902).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    pub edits: Option<Cow<'a, Patch>>,
    /// The reason why the object could not be decoded. Such a review is denied, unless the object is a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// The snapshot that the review was judged by; missing if the object could not be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<RecordedSnapshot>,
    /// Microseconds from the complete request to its response.
    pub latency_microseconds: u64,
}

/// The topology that a finding or an edit is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Topology")]
pub struct RecordedTopology<'a> {
    /// The name of the topology.
    pub name: Cow<'a, str>,
    /// The `metadata.generation` in force at the time; 0 if the topology was read from a file without one.
    pub generation: i64,
}

/// One finding of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Finding")]
#[serde(rename_all = "camelCase")]
pub struct RecordedFinding<'a> {
    /// The rule.
    pub rule: Cow<'a, str>,
    /// The reason code.
    pub reason: Cow<'a, str>,
    /// `deny`, `warn` or `audit`.
    pub severity: Cow<'a, str>,
    /// The name of the topology.
    pub topology: Cow<'a, str>,
    /// The field of the object.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub field: Cow<'a, str>,
    /// The message of the finding.
    pub message: Cow<'a, str>,
    /// The exception of the topology for which the finding warns instead of denying: the rule, the object, the end and the
    /// reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Cow<'a, str>>,
    /// A node that proves the finding. It reads after "a node".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Cow<'a, str>>,
    /// Some of the cluster's nodes that the finding is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Cow<'a, str>>,
    /// The number of further nodes, which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_nodes: usize,
}

/// The snapshot of the cluster that a review was judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Facts")]
#[serde(rename_all = "camelCase")]
pub struct RecordedSnapshot {
    /// The number of the snapshot; each process counts from 1.
    pub snapshot: u64,
    /// Microseconds since the snapshot was published. Nothing that a rule reads has changed since; the freshness of the
    /// watches is in the metrics.
    pub age_microseconds: u64,
}

impl Record<'_> {
    /// The number of groups that a record lists.
    pub const GROUPS: usize = 32;
    /// The number of findings that a record lists.
    pub const FINDINGS: usize = 8;
    /// The number of nodes that each finding lists.
    pub const NODES: usize = 8;

    /// Appends the record to `out`, as a JSON object on one line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Serializing texts, numbers, booleans and a patch never fails, nor does writing to a vector.
        let _ = write_json(self, out);
    }
}

/// Texts, cut to the limits of records and log lines.
pub mod bounded {
    use super::{Cow, MESSAGE_LIMIT, NAME_LIMIT, cut};

    /// A name of any kind, cut to 512 bytes.
    #[must_use]
    pub fn name(text: &str) -> Cow<'_, str> {
        cut(text, NAME_LIMIT).into()
    }

    /// A message, cut to 2048 bytes.
    #[must_use]
    pub fn message(text: &str) -> Cow<'_, str> {
        cut(text, MESSAGE_LIMIT).into()
    }

    /// A field or a witness, cut to 512 bytes.
    #[must_use]
    pub fn piece(mut text: String) -> Cow<'static, str> {
        text.truncate(cut(&text, NAME_LIMIT).len());
        text.into()
    }
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}
