//! Which records are asked for.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use crate::audit::{Line, Record};

/// What a record must be. Of several values of one kind, one is enough; what is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who asked.
    pub users: BTreeSet<String>,
    /// A group that the user was in.
    pub groups: BTreeSet<String>,
    /// The object's namespace.
    pub namespaces: BTreeSet<String>,
    /// A rule that spoke, whether or not it was the first to.
    pub rules: BTreeSet<String>,
    /// The reason code of one that spoke.
    pub reasons: BTreeSet<String>,
    /// `allow`, `edit` or `deny`.
    pub verdicts: BTreeSet<String>,
    /// The object's kind.
    pub kinds: BTreeSet<String>,
    /// The topology on whose behalf a rule spoke.
    pub topologies: BTreeSet<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Whether it was a dry run.
    pub dry_run: Option<bool>,
}

impl Filter {
    /// Whether a record is asked for.
    #[must_use]
    pub fn wants(&self, line: &Line<'_>, record: &Record<'_>) -> bool {
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
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
            && self.dry_run.is_none_or(|dry_run| record.dry_run == dry_run)
    }
}

fn has<'r>(wanted: &BTreeSet<String>, values: impl IntoIterator<Item = &'r str>) -> bool {
    wanted.is_empty() || values.into_iter().any(|value| wanted.contains(value))
}
