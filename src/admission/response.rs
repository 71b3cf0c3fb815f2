//! From a verdict to the bytes that the API server reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;

use super::request::{DecodeError, Request};
use lockstep_core::escape::ascii;

use super::wording::{self, AuditAnnotations};
use super::{PatchError, patch};
use crate::change::Change;
use crate::verdict::{Finding, Severity, Verdict};

/// More causes than this do not help anybody, and a hostile object could make thousands.
const MAX_CAUSES: usize = 16;
/// Room for an answer without a denial, so that it is written without being moved.
const EXPECTED_BYTES: usize = 768;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    // The API server insists that both come together, and that neither comes from a validating webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<AuditAnnotations<'a>>,
}

/// Without a code the API server would answer the user with 400 instead of 403.
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

/// The answer to a request that no rule is about.
pub(super) fn untouched(uid: &str) -> Vec<u8> {
    encode(Response { uid, allowed: true, ..Response::default() })
}

/// The denial of a request whose object cannot be read.
pub(super) fn unreadable(uid: &str, error: &DecodeError) -> Vec<u8> {
    let message = ascii(&error.to_string(), wording::MESSAGE_LIMIT);
    let status = Status { code: 400, reason: "BadRequest", message, details: None };
    encode(Response { uid, status: Some(status), ..Response::default() })
}

/// The answer to a request that was judged, and the patch in it.
pub(super) fn judged(
    request: &Request<'_>,
    change: &Change,
    verdict: &Verdict,
) -> Result<(Vec<u8>, Option<Patch>), PatchError> {
    let is_denied = verdict.is_denied();
    let patch = if is_denied || verdict.edits.is_empty() {
        None
    } else {
        Some(patch::patch(&change.object, &verdict.edits)?)
    };
    let encoded = patch.as_ref().map(|patch| STANDARD.encode(serde_json::to_vec(patch).unwrap_or_default()));
    let body = encode(Response {
        uid: &request.uid,
        allowed: !is_denied,
        status: is_denied.then(|| denial(request, verdict)),
        patch_type: encoded.as_ref().map(|_| "JSONPatch"),
        patch: encoded,
        warnings: wording::warnings(verdict),
        audit_annotations: wording::audit_annotations(&request.uid, verdict),
    });
    Ok((body, patch))
}

fn denial<'a>(request: &'a Request<'_>, verdict: &Verdict) -> Status<'a> {
    let causes = verdict.denials().take(MAX_CAUSES).map(cause).collect();
    Status {
        code: 403,
        reason: "Forbidden",
        message: wording::denial(verdict),
        details: Some(Details { name: &request.name, kind: &request.kind, causes }),
    }
}

fn cause(finding: &Finding) -> Cause {
    debug_assert_eq!(finding.severity, Severity::Deny);
    Cause {
        reason: finding.reason.code(),
        message: ascii(&finding.message, wording::MESSAGE_LIMIT),
        field: ascii(&finding.field.to_string(), wording::FIELD_LIMIT),
    }
}

fn encode(response: Response<'_>) -> Vec<u8> {
    let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    let mut body = Vec::with_capacity(EXPECTED_BYTES);
    // Strings, booleans and maps with string keys always serialise.
    let _ = serde_json::to_writer(&mut body, &review);
    body
}
