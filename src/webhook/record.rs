//! One line per denial, edit and warning: who, what, by which rule, why. Never the object.

use crate::admission::{Phase, Request};
use crate::verdict::{Finding, Verdict};

/// Records what was decided; a request that the rules let pass without a word leaves no line.
pub(super) fn judged(phase: Phase, request: &Request, verdict: &Verdict) {
    // The most severe finding speaks for the others, as it does to the user.
    match verdict.findings.iter().rev().max_by_key(|finding| finding.severity) {
        Some(finding) => found(phase, request, verdict, finding),
        None => edited(phase, request, verdict),
    }
}

fn found(phase: Phase, request: &Request, verdict: &Verdict, finding: &Finding) {
    let witness = finding.witness.as_ref().map(ToString::to_string);
    tracing::info!(
        verdict = verdict.word(),
        webhook = phase.word(),
        uid = request.uid,
        user = request.user,
        operation = request.operation,
        kind = request.kind,
        namespace = request.namespace,
        name = request.name,
        dry_run = request.dry_run,
        rule = finding.rule.id(),
        reason = finding.reason.code(),
        severity = finding.severity.word(),
        topology = &*finding.topology,
        detail = finding.message,
        witness,
        "review"
    );
}

fn edited(phase: Phase, request: &Request, verdict: &Verdict) {
    let Some(edit) = verdict.edits.first() else { return };
    tracing::info!(
        verdict = verdict.word(),
        webhook = phase.word(),
        uid = request.uid,
        user = request.user,
        operation = request.operation,
        kind = request.kind,
        namespace = request.namespace,
        name = request.name,
        dry_run = request.dry_run,
        rule = edit.rule.id(),
        reason = edit.reason.code(),
        topology = &*edit.topology,
        edits = verdict.edits.len(),
        "review"
    );
}
