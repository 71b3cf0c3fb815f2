//! The log line and the record of a review: a line in the operators' log, and a record in the decision log. Neither
//! contains the object.

use std::time::Instant;

use json_patch::Patch;
use k8s_openapi::jiff::Timestamp;

use crate::admission::{Decision, DecodeError, Review};
use crate::audit::bounded::{message, name, piece};
use crate::audit::{self, DecisionLog, Record};
use crate::change::Phase;
use crate::server::Caller;
use crate::snapshot::Snapshot;
use crate::trace::TraceContext;
use crate::verdict::{Finding, Verdict};

use super::metrics::{ReviewMetrics, undecoded};

/// The decision log, and which reviews are recorded.
#[derive(Debug)]
pub struct Decisions {
    /// The decision log.
    pub log: DecisionLog,
    /// Whether requests that were allowed without findings are recorded, too.
    pub also_allowed: bool,
}

/// A review that has a response.
pub(super) struct ReviewEvent<'r> {
    pub(super) phase: Phase,
    pub(super) caller: Caller<'r>,
    pub(super) trace: Option<TraceContext>,
    pub(super) review: &'r Review<'r>,
    pub(super) snapshot: &'r Snapshot,
    /// The time at which the request's body was complete.
    pub(super) start: Instant,
    pub(super) metrics: &'r ReviewMetrics,
}

impl ReviewEvent<'_> {
    /// Logs and records the review.
    ///
    /// With a decision log, the operators' log reports denials only, because the decision log has the edits and
    /// warnings. A caller without a client certificate may be anyone, so what it can make Lockstep write is limited in
    /// its rate; the metrics count what was not written.
    pub(super) fn record(&self, decisions: Option<&Decisions>) {
        let (verdict, patch) = match &self.review.decision {
            Decision::Judged { verdict, patch } => (verdict, patch.as_ref()),
            Decision::Undecodable { error, is_denied } => {
                return self.record_undecodable(error, *is_denied, decisions);
            }
        };
        let is_logged = verdict.headline().is_some() && (decisions.is_none() || verdict.is_denied());
        let recording = decisions.filter(|decisions| decisions.also_allowed || verdict.headline().is_some());
        if !is_logged && recording.is_none() || !self.may_write() {
            return;
        }
        if is_logged {
            self.log(verdict);
        }
        if let Some(decisions) = recording {
            let now = Timestamp::now();
            decisions.log.record(now, &self.to_record(verdict, patch, now));
        }
    }

    fn may_write(&self) -> bool {
        let may_write = self.caller.take_record();
        if !may_write {
            self.metrics.not_recorded();
        }
        may_write
    }

    fn record_undecodable(&self, error: &DecodeError, is_denied: bool, decisions: Option<&Decisions>) {
        if !self.may_write() {
            return;
        }
        tracing::warn!(error = message(&error.to_string()).as_ref(), is_denied, "a review cannot be decoded");
        if let Some(decisions) = decisions {
            let (error, verdict) = (error.to_string(), undecoded(is_denied));
            let record =
                Record { verdict: verdict.into(), error: Some(message(&error)), ..self.request_record() };
            decisions.log.record(Timestamp::now(), &record);
        }
    }

    /// Logs one line for the operators; none for a verdict without findings and edits.
    fn log(&self, verdict: &Verdict) {
        let (phase, request) = (self.phase, &self.review.request);
        let Some(headline) = verdict.headline() else { return };
        let finding = headline.finding;
        let witness = finding.and_then(|finding| finding.witness.as_ref()).map(ToString::to_string);
        tracing::info!(
            verdict = verdict.word(),
            authentication = self.caller.authentication().word(),
            webhook = phase.word(),
            uid = name(&request.uid).as_ref(),
            trace_id = self.trace.map(|trace| tracing::field::display(trace.trace_id)),
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

    fn to_record<'e>(&'e self, verdict: &'e Verdict, patch: Option<&'e Patch>, now: Timestamp) -> Record<'e> {
        let headline = verdict.headline();
        let topology = headline.map(|headline| audit::RecordedTopology {
            name: name(headline.topology),
            generation: self.snapshot.topology(headline.topology).map_or(0, |topology| topology.generation),
        });
        Record {
            verdict: verdict.word().into(),
            rule: headline.map(|headline| headline.rule.id().into()),
            reason: headline.map(|headline| headline.reason.code().into()),
            topology,
            findings: verdict.findings.iter().take(Record::FINDINGS).map(finding).collect(),
            more_findings: verdict.findings.len().saturating_sub(Record::FINDINGS),
            edits: patch.map(std::borrow::Cow::Borrowed),
            facts: self.snapshot.publication().map(|publication| audit::RecordedSnapshot {
                snapshot: publication.number,
                age_microseconds: microseconds(now.duration_since(publication.time).as_micros()),
            }),
            ..self.request_record()
        }
    }

    /// Returns the fields of a record that describe the request, and its latency.
    fn request_record(&self) -> Record<'_> {
        let request = &self.review.request;
        let change = request.change.as_ref();
        let groups = &request.groups;
        Record {
            webhook: self.phase.word().into(),
            authentication: self.caller.authentication().word().into(),
            uid: name(&request.uid),
            trace_id: self.trace.map(|trace| trace.trace_id.to_string().into()),
            user: name(&request.user),
            groups: groups.names.iter().take(Record::GROUPS).map(|group| name(group)).collect(),
            more_groups: groups.names.len().saturating_sub(Record::GROUPS).saturating_add(groups.more),
            operation: name(&request.operation),
            kind: name(&request.kind),
            namespace: name(&request.namespace),
            name: name(change.map_or(&request.name, |change| &change.name)),
            generate_name: name(change.map_or("", |change| &change.object.metadata().generate_name)),
            dry_run: request.dry_run,
            latency_microseconds: u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..Record::default()
        }
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
        exception: finding.exception.as_deref().map(message),
        more_nodes: finding.nodes.len().saturating_sub(Record::NODES),
    }
}

/// Returns an age in microseconds; 0 after the clock was set back.
fn microseconds(count: i128) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
