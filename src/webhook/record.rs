//! One line per denial, edit and warning: who, what, by which rule, why. Never the object.

use crate::admission::{Phase, Request};
use crate::text::cut;
use crate::verdict::Verdict;

/// The longest field of a line, in bytes. The API server's names are shorter; a stranger's may be megabytes.
const FIELD_LIMIT: usize = 512;
/// The longest message in a line, in bytes.
const DETAIL_LIMIT: usize = 2048;

/// Records what was decided; a request that the rules let pass without a word leaves no line.
pub(super) fn judged(phase: Phase, request: &Request<'_>, verdict: &Verdict) {
    let Some(headline) = verdict.headline() else { return };
    let finding = headline.finding;
    let witness = finding.and_then(|finding| finding.witness.as_ref()).map(ToString::to_string);
    tracing::info!(
        verdict = verdict.word(),
        webhook = phase.word(),
        uid = field(&request.uid),
        user = field(&request.user),
        operation = field(&request.operation),
        kind = field(&request.kind),
        namespace = field(&request.namespace),
        name = field(&request.name),
        dry_run = request.dry_run,
        rule = headline.rule.id(),
        reason = headline.reason.code(),
        topology = headline.topology,
        severity = finding.map(|finding| finding.severity.word()),
        detail = finding.map(|finding| cut(&finding.message, DETAIL_LIMIT)),
        witness,
        edits = verdict.edits.len(),
        "review"
    );
}

fn field(text: &str) -> &str {
    cut(text, FIELD_LIMIT)
}
