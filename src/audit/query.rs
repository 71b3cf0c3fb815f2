//! Queries on a decision log: the matching records, and their numbers by user, rule and other properties.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{Content, Line, LineReader, Record};

/// The totals of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryTotals {
    /// The number of matching records.
    pub found: u64,
    /// The number of records that the log reports as dropped.
    pub dropped: u64,
    /// The number of lines that do not belong to a decision log.
    pub foreign: u64,
}

/// Reads a log and passes every matching record to `each`, with its line and the bytes of the line.
///
/// # Errors
/// The error of the reader, or the first error of `each`.
pub fn read<E: From<io::Error>>(
    reader: impl BufRead,
    filter: &RecordFilter,
    mut each: impl FnMut(&Line<'_>, &Record<'_>, &[u8]) -> Result<(), E>,
) -> Result<QueryTotals, E> {
    let (mut lines, mut totals) = (LineReader::new(reader), QueryTotals::default());
    while let Some(raw) = lines.next_line()? {
        match serde_json::from_slice::<Line<'_>>(raw.bytes) {
            Ok(line) => match &line.content {
                Content::Review(record) if filter.matches(&line, record) => {
                    totals.found = totals.found.saturating_add(1);
                    each(&line, record, raw.bytes)?;
                }
                Content::Dropped(dropped) => totals.dropped = totals.dropped.saturating_add(dropped.count),
                _ => {}
            },
            Err(_) => totals.foreign = totals.foreign.saturating_add(1),
        }
    }
    Ok(totals)
}

/// The filter of a query. A record matches if it meets every field. A set is met if it contains the record's value, or
/// is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// The user who made the request.
    pub users: BTreeSet<String>,
    /// A group of the user.
    pub groups: BTreeSet<String>,
    /// The namespace of the object.
    pub namespaces: BTreeSet<String>,
    /// The rule of any finding.
    pub rules: BTreeSet<String>,
    /// The reason code of any finding.
    pub reasons: BTreeSet<String>,
    /// `allow`, `edit` or `deny`.
    pub verdicts: BTreeSet<String>,
    /// The kind of the object.
    pub kinds: BTreeSet<String>,
    /// The topology of any finding.
    pub topologies: BTreeSet<String>,
    /// The id of the trace.
    pub traces: BTreeSet<String>,
    /// The earliest time.
    pub since: Option<Timestamp>,
    /// The end of the time range, exclusive.
    pub until: Option<Timestamp>,
    /// Whether the request was a dry run.
    pub dry_run: Option<bool>,
}

impl RecordFilter {
    /// Whether the record matches.
    #[must_use]
    pub fn matches(&self, line: &Line<'_>, record: &Record<'_>) -> bool {
        let findings = || record.findings.iter();
        let topology = record.topology.as_ref().map(|topology| &*topology.name);
        has(&self.users, [&*record.user])
            && has(&self.groups, record.groups.iter().map(|group| &**group))
            && has(&self.namespaces, [&*record.namespace])
            && has(
                &self.rules,
                record.rule.as_deref().into_iter().chain(findings().map(|finding| &*finding.rule)),
            )
            && has(
                &self.reasons,
                record.reason.as_deref().into_iter().chain(findings().map(|finding| &*finding.reason)),
            )
            && has(&self.verdicts, [&*record.verdict])
            && has(&self.kinds, [&*record.kind])
            && has(&self.topologies, topology.into_iter().chain(findings().map(|finding| &*finding.topology)))
            && has(&self.traces, record.trace_id.as_deref())
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
            && self.dry_run.is_none_or(|dry_run| record.dry_run == dry_run)
    }
}

fn has<'r>(wanted: &BTreeSet<String>, values: impl IntoIterator<Item = &'r str>) -> bool {
    wanted.is_empty() || values.into_iter().any(|value| wanted.contains(value))
}

/// A property to count records by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Dimension {
    /// User
    User,
    /// Namespace of the object
    Namespace,
    /// Kind of the object
    Kind,
    /// Name of the object
    Name,
    /// Operation
    Operation,
    /// allow, edit or deny
    Verdict,
    /// Rule
    Rule,
    /// Reason code
    Reason,
    /// Topology
    Topology,
    /// Replica that wrote the record
    Replica,
    /// Dry run or not
    DryRun,
    /// Hour (UTC)
    Hour,
    /// Day (UTC)
    Day,
}

impl Dimension {
    /// The name of the dimension in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Namespace => "namespace",
            Self::Kind => "kind",
            Self::Name => "name",
            Self::Operation => "operation",
            Self::Verdict => "verdict",
            Self::Rule => "rule",
            Self::Reason => "reason",
            Self::Topology => "topology",
            Self::Replica => "replica",
            Self::DryRun => "dryRun",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn of(self, line: &Line<'_>, record: &Record<'_>) -> String {
        match self {
            Self::User => record.user.as_ref(),
            Self::Namespace => &record.namespace,
            Self::Kind => &record.kind,
            Self::Name if record.name.is_empty() && !record.generate_name.is_empty() => {
                return format!("{}*", record.generate_name);
            }
            Self::Name => &record.name,
            Self::Operation => &record.operation,
            Self::Verdict => &record.verdict,
            Self::Rule => record.rule.as_deref().unwrap_or_default(),
            Self::Reason => record.reason.as_deref().unwrap_or_default(),
            Self::Topology => record.topology.as_ref().map_or("", |topology| &*topology.name),
            Self::Replica => &line.replica,
            Self::DryRun => return record.dry_run.to_string(),
            Self::Hour => return line.time.strftime("%Y-%m-%dT%H:00Z").to_string(),
            Self::Day => return line.time.strftime("%Y-%m-%d").to_string(),
        }
        .to_owned()
    }
}

/// Counts of records by dimensions.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts {
    by: Vec<Dimension>,
    counts: BTreeMap<Vec<String>, u64>,
}

/// The number of records that share their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordCount {
    /// The values, in the order of the dimensions.
    pub by: Vec<String>,
    /// The number of records.
    pub count: u64,
}

impl RecordCounts {
    /// Empty counts by `by`.
    #[must_use]
    pub const fn new(by: Vec<Dimension>) -> Self {
        Self { by, counts: BTreeMap::new() }
    }

    /// The dimensions.
    #[must_use]
    pub fn by(&self) -> &[Dimension] {
        &self.by
    }

    /// Counts a record.
    pub fn add(&mut self, line: &Line<'_>, record: &Record<'_>) {
        let key = self.by.iter().map(|dimension| dimension.of(line, record)).collect();
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    /// Returns the counts: the most frequent first, then by value; in the order of time if the first dimension is the
    /// hour or the day.
    #[must_use]
    pub fn rows(&self) -> Vec<RecordCount> {
        let rows = self.counts.iter().map(|(by, count)| RecordCount { by: by.clone(), count: *count });
        let mut rows: Vec<RecordCount> = rows.collect();
        if !matches!(self.by.first(), Some(Dimension::Hour | Dimension::Day)) {
            rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        }
        rows
    }
}
