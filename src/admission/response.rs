//! Encoding of the response: an `AdmissionReview` that repeats the request's uid.
//!
//! Users, the API server and its audit log read the texts, so each of them is bounded, on one line and printable.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;

use super::request::{DecodeError, Request};
use crate::verdict::{Finding, Severity, Verdict};
use lockstep_core::escape::ascii;

/// The maximum length of a message, in bytes. The API server repeats it in its response, in Events and in its audit
/// log.
const MESSAGE_LIMIT: usize = 4096;
/// The maximum length of a field path, in bytes.
const FIELD_LIMIT: usize = 512;
/// The maximum length of an audit annotation, in bytes.
const ANNOTATION_LIMIT: usize = 1024;
/// The maximum length of a name in the API server, in bytes. Manifests on disk may have longer names.
const NAME_LIMIT: usize = 253;
/// The maximum length of a warning, in bytes: the API server may truncate longer ones.
const WARNING_LIMIT: usize = 256;
/// The maximum length of all warnings together, in bytes: the API server drops or truncates the rest.
const WARNINGS_LIMIT: usize = 4096;
/// The maximum number of causes in a denial: a hostile object could lead to thousands.
const CAUSES: usize = 16;
/// The capacity of a response without a denial, in bytes, so that most responses are written without reallocation.
const CAPACITY: usize = 768;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: AdmissionResponse<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionResponse<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    // The API server requires both or neither, and neither from a validating webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<AuditAnnotations<'a>>,
}

/// The status of a denial. Without a code the API server would send the user 400 instead of 403.
#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    name: &'a str,
    kind: &'a str,
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

/// The audit annotations. The API server's audit log prefixes each key with the webhook's name.
#[derive(Serialize)]
struct AuditAnnotations<'v> {
    /// Connects the audit event with the record in the decision log: the API server logs this uid nowhere else.
    uid: Cow<'v, str>,
    verdict: &'static str,
    rule: &'static str,
    reason: &'static str,
    topology: Cow<'v, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<String>,
}

/// Encodes the response to a request whose object cannot be decoded: a denial, or a warning.
pub(super) fn undecodable(uid: &str, error: &DecodeError, is_denied: bool) -> Vec<u8> {
    if !is_denied {
        let warning =
            format!("lockstep cannot judge the pods of this workload before they are created: {error}");
        let warnings = vec![ascii(&warning, WARNING_LIMIT)];
        return encode(AdmissionResponse { uid, allowed: true, warnings, ..AdmissionResponse::default() });
    }
    let message = ascii(&error.to_string(), MESSAGE_LIMIT);
    let status = Status { code: 400, reason: "BadRequest", message, details: None };
    encode(AdmissionResponse { uid, status: Some(status), ..AdmissionResponse::default() })
}

/// Encodes the response to a request that the rules judged. It names current nodes if `names_nodes`.
pub(super) fn judged(
    request: &Request<'_>,
    verdict: &Verdict,
    patch: Option<&Patch>,
    names_nodes: bool,
) -> Vec<u8> {
    let is_denied = verdict.is_denied();
    let patch = patch.map(|patch| STANDARD.encode(serde_json::to_vec(patch).unwrap_or_default()));
    encode(AdmissionResponse {
        uid: &request.uid,
        allowed: !is_denied,
        status: is_denied.then(|| denial(request, verdict, names_nodes)),
        patch_type: patch.as_ref().map(|_| "JSONPatch"),
        patch,
        warnings: warnings(verdict, names_nodes),
        audit_annotations: audit_annotations(&request.uid, verdict),
    })
}

fn encode(response: AdmissionResponse<'_>) -> Vec<u8> {
    let review = AdmissionReview { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    let mut body = Vec::with_capacity(CAPACITY);
    // Serializing strings, booleans and maps with string keys never fails.
    let _ = serde_json::to_writer(&mut body, &review);
    body
}

/// The status of a denial: every finding that denies, each as `message; help (rule, reason, topology)`.
fn denial<'a>(request: &'a Request<'_>, verdict: &Verdict, names_nodes: bool) -> Status<'a> {
    let sentence = |finding: &Finding| {
        let Finding { rule, reason, topology, help, .. } = finding;
        let message = message(finding, names_nodes);
        let separator = if help.is_empty() { "" } else { "; " };
        format!("{message}{separator}{help} ({rule} {reason}, topology {topology})")
    };
    let cause = |finding: &Finding| Cause {
        reason: finding.reason.code(),
        message: ascii(message(finding, names_nodes), MESSAGE_LIMIT),
        field: ascii(&finding.field.to_string(), FIELD_LIMIT),
    };
    let sentences: Vec<String> = verdict.denials().map(sentence).collect();
    let causes = verdict.denials().take(CAUSES).map(cause).collect();
    Status {
        code: 403,
        reason: "Forbidden",
        message: ascii(&sentences.join("; also: "), MESSAGE_LIMIT),
        details: Some(Details { name: &request.name, kind: &request.kind, causes }),
    }
}

fn message(finding: &Finding, names_nodes: bool) -> &str {
    if names_nodes { &finding.message } else { finding.message_without_nodes() }
}

/// The warnings for the user, each as `rule reason: message: help`.
fn warnings(verdict: &Verdict, names_nodes: bool) -> Vec<String> {
    let mut left = WARNINGS_LIMIT;
    let mut warnings = Vec::new();
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Warn) {
        let Finding { rule, reason, help, .. } = finding;
        let message = message(finding, names_nodes);
        let separator = if help.is_empty() { "" } else { ": " };
        let warning = ascii(&format!("{rule} {reason}: {message}{separator}{help}"), WARNING_LIMIT);
        match left.checked_sub(warning.len()) {
            Some(rest) => left = rest,
            None => break,
        }
        warnings.push(warning);
    }
    warnings
}

/// The audit annotations; `None` for a verdict without findings and edits.
fn audit_annotations<'v>(uid: &'v str, verdict: &'v Verdict) -> Option<AuditAnnotations<'v>> {
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

/// Returns a name unchanged, unless no API server would store it.
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
            today: String::new(),
            exception: None,
        }
    }

    #[test]
    fn audit_annotations_hold_the_first_of_the_most_severe_findings() {
        let findings = vec![
            finding(Severity::Warn, Reason::MirrorPod),
            finding(Severity::Deny, Reason::Conflict),
            finding(Severity::Deny, Reason::Unsatisfiable),
        ];
        let verdict = Verdict { findings, edits: Vec::new() };
        assert_eq!(audit_annotations("u", &verdict).unwrap().reason, "CONFLICT");
    }

    #[test]
    fn names_that_the_api_server_would_store_stay_as_they_are() {
        let longest = "x".repeat(253);
        assert_eq!(name(&longest), longest);
        assert_eq!(name(&format!("{longest}y")), format!("{}...", "x".repeat(250)));
        assert_eq!(name("a\tb"), "a\\tb");
    }

    #[test]
    fn warnings_together_fit_into_the_warning_headers() {
        let mut findings =
            vec![finding(Severity::Deny, Reason::NotPlaced), finding(Severity::Audit, Reason::NotPlaced)];
        findings.extend((0..20).map(|_| finding(Severity::Warn, Reason::NotPlaced)));
        let warnings = warnings(&Verdict { findings, edits: Vec::new() }, true);
        assert_eq!(warnings.len(), WARNINGS_LIMIT / WARNING_LIMIT);
        assert!(warnings.iter().all(|warning| warning.len() == WARNING_LIMIT));
    }
}
