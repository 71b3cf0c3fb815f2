//! What users and auditors read: bounded, on one line, without control characters.

use std::borrow::Cow;

use lockstep_core::escape::ascii;
use serde::Serialize;

use crate::verdict::{Finding, Severity, Verdict};

/// The longest message, in bytes. The API server repeats it in its answer, in events and in its audit log.
pub(super) const MESSAGE_LIMIT: usize = 4096;
/// The longest field path, in bytes.
pub(super) const FIELD_LIMIT: usize = 512;
/// The longest audit annotation, in bytes.
const ANNOTATION_LIMIT: usize = 1024;
/// The longest name that the API server gives an object; manifests on disk may have longer ones.
const NAME_LIMIT: usize = 253;
/// Longer warnings may be cut by the API server, and all together beyond 4096 bytes (warning headers).
const WARNING_LIMIT: usize = 256;
const WARNINGS_LIMIT: usize = 4096;

/// The message of a denial: every finding that denies, with what to do about it.
pub(super) fn denial(verdict: &Verdict) -> String {
    let findings: Vec<String> = verdict.denials().map(sentence).collect();
    ascii(&findings.join("; also: "), MESSAGE_LIMIT)
}

/// `message; help (rule, reason, topology)`.
fn sentence(finding: &Finding) -> String {
    let Finding { rule, reason, topology, message, help, .. } = finding;
    let then = if help.is_empty() { "" } else { "; " };
    format!("{message}{then}{help} ({rule} {reason}, topology {topology})")
}

/// The warnings that the user sees.
pub(super) fn warnings(verdict: &Verdict) -> Vec<String> {
    let mut left = WARNINGS_LIMIT;
    let mut warnings = Vec::new();
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Warn) {
        let Finding { rule, reason, message, help, .. } = finding;
        let then = if help.is_empty() { "" } else { ": " };
        let warning = ascii(&format!("{rule} {reason}: {message}{then}{help}"), WARNING_LIMIT);
        match left.checked_sub(warning.len()) {
            Some(rest) => left = rest,
            None => break,
        }
        warnings.push(warning);
    }
    warnings
}

/// What the API server's audit log keeps, under these keys and the webhook's name.
#[derive(Serialize)]
pub(super) struct AuditAnnotations<'v> {
    /// By which the decision log's record is found: the API server's log has no other trace of this uid.
    uid: Cow<'v, str>,
    verdict: &'static str,
    rule: &'static str,
    reason: &'static str,
    topology: Cow<'v, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<String>,
}

/// `None` for a request that the rules let pass without a word.
pub(super) fn audit_annotations<'v>(uid: &'v str, verdict: &'v Verdict) -> Option<AuditAnnotations<'v>> {
    let headline = verdict.headline()?;
    let witness = headline.finding.and_then(|finding| finding.witness.as_ref());
    Some(AuditAnnotations {
        uid: name(uid),
        verdict: verdict.word(),
        rule: headline.rule.id(),
        reason: headline.reason.code(),
        topology: name(headline.topology),
        witness: witness.map(|witness| ascii(&format!("a node {witness}"), ANNOTATION_LIMIT)),
    })
}

/// A name as it is, unless no API server would store it.
fn name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_LIMIT && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(ascii(name, NAME_LIMIT))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{WARNING_LIMIT, WARNINGS_LIMIT, audit_annotations, name, warnings};
    use crate::field::FieldPath;
    use crate::verdict::{Finding, Reason, Rule, Severity, Verdict};

    fn finding(severity: Severity, reason: Reason) -> Finding {
        Finding {
            rule: Rule::GatewayPlacement,
            topology: Arc::from("t"),
            reason,
            severity,
            field: FieldPath::default(),
            message: "m".repeat(1000),
            help: String::new(),
            witness: None,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn the_first_of_the_most_severe_findings_is_what_the_audit_log_keeps() {
        let findings = vec![
            finding(Severity::Warn, Reason::MirrorPod),
            finding(Severity::Deny, Reason::Conflict),
            finding(Severity::Deny, Reason::Unsatisfiable),
        ];
        let verdict = Verdict { findings, edits: Vec::new() };
        assert_eq!(audit_annotations("u", &verdict).unwrap().reason, "CONFLICT");
    }

    #[test]
    fn names_keep_their_form_as_long_as_the_api_server_would_store_them() {
        let longest = "x".repeat(253);
        assert_eq!(name(&longest), longest);
        assert_eq!(name(&format!("{longest}y")), format!("{}...", "x".repeat(250)));
        assert_eq!(name("a\tb"), "a\\tb");
    }

    #[test]
    fn warnings_fit_together_into_the_headers() {
        let mut findings =
            vec![finding(Severity::Deny, Reason::NotPlaced), finding(Severity::Audit, Reason::NotPlaced)];
        findings.extend((0..20).map(|_| finding(Severity::Warn, Reason::NotPlaced)));
        let warnings = warnings(&Verdict { findings, edits: Vec::new() });
        assert_eq!(warnings.len(), WARNINGS_LIMIT / WARNING_LIMIT);
        assert!(warnings.iter().all(|warning| warning.len() == WARNING_LIMIT));
    }
}
