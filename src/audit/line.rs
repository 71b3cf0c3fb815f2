//! The form of a line: what [`super::chain`] writes, `query` reads, and the published schema describes.

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize, Serializer};

use super::Record;

/// The version of the form. New fields may come without a new version; a field never changes its meaning.
pub const SCHEMA: u32 = 1;

/// One line of the decision log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "A line of Lockstep's decision log")]
pub struct Line<'a> {
    /// The version of this form: 1.
    pub schema: u32,
    /// The chain that the line belongs to: one for each start of a process.
    pub chain: Cow<'a, str>,
    /// Who wrote it: the name of the pod.
    pub replica: Cow<'a, str>,
    /// The place in the chain. The first line has 0, every review takes the next number, and `dropped` stands for
    /// the numbers from `first` to this one.
    pub sequence: u64,
    /// When it was decided (RFC 3339, UTC, microseconds).
    #[serde(serialize_with = "with_microseconds")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The hash of the line before, 64 hexadecimal digits. All zeros in the first line of a chain that goes on from
    /// none; in the first line that a process adds to a file, the hash of that file's last line.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub previous: Cow<'a, str>,
    /// SHA-256 over the bytes of this line from its beginning up to `,"hash":`, 64 hexadecimal digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub hash: Cow<'a, str>,
    /// What happened.
    #[serde(flatten)]
    pub content: Content<'a>,
}

/// A time as [`super::chain`] writes it: with all six digits, while jiff alone leaves out zeros at the end.
fn with_microseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Content<'a> {
    /// A process began its chain.
    Started(Started<'a>),
    /// A review was decided.
    Review(Box<Record<'a>>),
    /// Records were dropped, because the log was not taken fast enough. The decisions themselves did not change.
    Dropped(Dropped),
    /// The process ended in order, and nothing comes after this line.
    Ended(Ended),
}

/// What is told of a chain's beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started<'a> {
    /// The version of Lockstep.
    pub version: Cow<'a, str>,
}

/// What is told of records that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// The sequence number of the first one; the line's own is that of the last.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What is told of a chain's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// How many reviews the chain records.
    pub records: u64,
    /// How many records were dropped.
    pub dropped: u64,
}

impl Content<'_> {
    /// The word for it in a line.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Review(_) => "review",
            Self::Dropped(_) => "dropped",
            Self::Ended(_) => "ended",
        }
    }
}

/// The JSON Schema of a line.
#[must_use]
pub fn schema() -> Schema {
    schema_for!(Line<'static>)
}
