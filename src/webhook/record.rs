//! What is kept of a review: its line in the operators' log, and its record in the decision log. Never the object.

use std::time::Instant;

use json_patch::Patch;
use k8s_openapi::jiff::Timestamp;

use crate::admission::{DecodeError, Request};
use crate::audit::bounded::{message, name, piece};
use crate::audit::{self, DecisionLog, Record};
use crate::change::Phase;
use crate::snapshot::Snapshot;
use crate::verdict::{Finding, Verdict};

/// Where decisions are recorded, and which.
#[derive(Debug)]
pub struct Decisions {
    /// The decision log.
    pub log: DecisionLog,
    /// Whether what the rules let pass without a word is recorded, too.
    pub also_allowed: bool,
}

/// A review that was judged.
pub(super) struct Judged<'r> {
    pub(super) phase: Phase,
    pub(super) request: &'r Request<'r>,
    pub(super) verdict: &'r Verdict,
    pub(super) patch: Option<&'r Patch>,
    pub(super) facts: &'r Snapshot,
    /// When it had come.
    pub(super) start: Instant,
}

impl Judged<'_> {
    /// Records what was decided. With a decision log, the operators' log has denials only: what was changed, and
    /// whom it warned, is in the former.
    pub(super) fn record(&self, decisions: Option<&Decisions>) {
        let Some(decisions) = decisions else { return self.tell() };
        if self.verdict.is_denied() {
            self.tell();
        }
        if decisions.also_allowed || self.verdict.headline().is_some() {
            let now = Timestamp::now();
            decisions.log.record(now, &self.to_record(now));
        }
    }

    /// One line in the operators' log; none for a request that the rules let pass without a word.
    fn tell(&self) {
        let Self { phase, request, verdict, .. } = self;
        let Some(headline) = verdict.headline() else { return };
        let finding = headline.finding;
        let witness = finding.and_then(|finding| finding.witness.as_ref()).map(ToString::to_string);
        tracing::info!(
            verdict = verdict.word(),
            webhook = phase.word(),
            uid = name(&request.uid).as_ref(),
            user = name(&request.user).as_ref(),
            operation = name(&request.operation).as_ref(),
            kind = name(&request.kind).as_ref(),
            namespace = name(&request.namespace).as_ref(),
            name = name(&request.name).as_ref(),
            dry_run = request.dry_run,
            rule = headline.rule.id(),
            reason = headline.reason.code(),
            topology = headline.topology,
            severity = finding.map(|finding| finding.severity.word()),
            detail = finding.map(|finding| message(&finding.message)).as_deref(),
            witness,
            edits = verdict.edits.len(),
            "review"
        );
    }

    fn to_record(&self, now: Timestamp) -> Record<'_> {
        let Self { phase, request, verdict, patch, facts, start } = self;
        let headline = verdict.headline();
        let topology = headline.map(|headline| audit::RecordedTopology {
            name: name(headline.topology),
            generation: facts.topology(headline.topology).map_or(0, |topology| topology.generation),
        });
        Record {
            verdict: verdict.word().into(),
            rule: headline.map(|headline| headline.rule.id().into()),
            reason: headline.map(|headline| headline.reason.code().into()),
            topology,
            findings: verdict.findings.iter().take(Record::FINDINGS).map(finding).collect(),
            more_findings: verdict.findings.len().saturating_sub(Record::FINDINGS),
            edits: patch.map(std::borrow::Cow::Borrowed),
            facts: facts.publication().map(|publication| audit::RecordedSnapshot {
                snapshot: publication.number,
                age_microseconds: microseconds(now.duration_since(publication.time).as_micros()),
            }),
            ..asked(*phase, request, *start)
        }
    }
}

/// Records the denial of a review that could not be read.
pub(super) fn unreadable(
    decisions: Option<&Decisions>,
    phase: Phase,
    request: &Request<'_>,
    error: &DecodeError,
    start: Instant,
) {
    tracing::warn!(error = %error, "a review could not be read and was denied");
    if let Some(decisions) = decisions {
        let error = error.to_string();
        let record =
            Record { verdict: "deny".into(), error: Some(message(&error)), ..asked(phase, request, start) };
        decisions.log.record(Timestamp::now(), &record);
    }
}

/// Who asked for what, and how long it took.
fn asked<'r>(phase: Phase, request: &'r Request<'_>, start: Instant) -> Record<'r> {
    let change = request.change.as_ref();
    let groups = &request.groups;
    Record {
        webhook: phase.word().into(),
        uid: name(&request.uid),
        user: name(&request.user),
        groups: groups.names.iter().take(Record::GROUPS).map(|group| name(group)).collect(),
        more_groups: groups.names.len().saturating_sub(Record::GROUPS).saturating_add(groups.more),
        operation: name(&request.operation),
        kind: name(&request.kind),
        namespace: name(&request.namespace),
        name: name(change.map_or(&request.name, |change| &change.name)),
        generate_name: name(change.map_or("", |change| &change.object.metadata().generate_name)),
        dry_run: request.dry_run,
        latency_microseconds: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        ..Record::default()
    }
}

fn finding(finding: &Finding) -> audit::RecordedFinding<'_> {
    audit::RecordedFinding {
        rule: finding.rule.id().into(),
        reason: finding.reason.code().into(),
        severity: finding.severity.word().into(),
        topology: name(&finding.topology),
        field: piece(finding.field.to_string()),
        message: message(&finding.message),
        witness: finding.witness.as_ref().map(|witness| piece(witness.to_string())),
        nodes: finding.nodes.iter().take(Record::NODES).map(|node| name(node)).collect(),
        more_nodes: finding.nodes.len().saturating_sub(Record::NODES),
    }
}

/// A clock that was set back makes no age.
fn microseconds(count: i128) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
