//! How often something happened, by whatever it is told apart by.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::{Line, Record};

/// What records are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Dimension {
    /// Who asked
    User,
    /// The object's namespace
    Namespace,
    /// The object's kind
    Kind,
    /// The object's name
    Name,
    /// What was to be done
    Operation,
    /// allow, edit or deny
    Verdict,
    /// The rule that spoke
    Rule,
    /// Its reason code
    Reason,
    /// The topology on whose behalf
    Topology,
    /// Who recorded it
    Replica,
    /// Whether it was a dry run
    DryRun,
    /// The hour (UTC)
    Hour,
    /// The day (UTC)
    Day,
}

impl Dimension {
    /// The word that people and programs read.
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
            Self::DryRun => {
                if record.dry_run {
                    "true"
                } else {
                    "false"
                }
            }
            Self::Hour => return line.time.strftime("%Y-%m-%dT%H:00Z").to_string(),
            Self::Day => return line.time.strftime("%Y-%m-%d").to_string(),
        }
        .to_owned()
    }
}

/// Records, counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    by: Vec<Dimension>,
    counts: BTreeMap<Vec<String>, u64>,
}

/// One line of the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What the records have in common, in the order that was asked for.
    pub by: Vec<String>,
    /// How many there are.
    pub count: u64,
}

impl Counts {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new(by: Vec<Dimension>) -> Self {
        Self { by, counts: BTreeMap::new() }
    }

    /// What records are told apart by.
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

    /// The most frequent first, and then by name; by time, if that comes first.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.counts.iter().map(|(by, count)| Row { by: by.clone(), count: *count });
        let mut rows: Vec<Row> = rows.collect();
        if !matches!(self.by.first(), Some(Dimension::Hour | Dimension::Day)) {
            rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        }
        rows
    }
}
