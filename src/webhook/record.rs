//! One line per denial, edit and warning: who, what, by which rule, why. Never the object.

use crate::admission::{Phase, Request};
use crate::verdict::Verdict;

/// Records what was decided; a request that the rules let pass without a word leaves no line.
pub(super) fn judged(phase: Phase, request: &Request, verdict: &Verdict) {
    let Some(headline) = verdict.headline() else { return };
    let finding = headline.finding;
    let witness = finding.and_then(|finding| finding.witness.as_ref()).map(ToString::to_string);
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
        rule = headline.rule.id(),
        reason = headline.reason.code(),
        topology = headline.topology,
        severity = finding.map(|finding| finding.severity.word()),
        detail = finding.map(|finding| finding.message.as_str()),
        witness,
        edits = verdict.edits.len(),
        "review"
    );
}
