//! Recorded requests.

use std::borrow::Cow;

use serde_json::Value;

use crate::admission::{self, Body};
use crate::field::FieldPath;
use crate::manifests::{Candidate, Document, ManifestError, Problem};

/// What a recorded request asks.
pub(super) enum Request {
    /// Something that the rules are about.
    Judged(Box<Candidate>),
    /// Something that they are not: its kind, namespace and name.
    Untouched([String; 3]),
}

/// Reads a recorded `AdmissionReview` through the webhook's own door.
pub(super) fn request(document: &Document, review: &Value) -> Result<Request, Problem> {
    let refused = |error: String| {
        let at = document.place(&FieldPath::fields(["request"]));
        Problem::at(&document.source, at.mark, ManifestError::Review(error))
    };
    let bytes = serde_json::to_vec(review).map_err(|error| refused(error.to_string()))?;
    let body = Body::new(&bytes);
    let request = admission::decode(&body).map_err(|error| refused(error.to_string()))?;
    let Some(change) = request.change else {
        return Ok(Request::Untouched([request.kind, request.namespace, request.name].map(Cow::into_owned)));
    };
    Ok(Request::Judged(Box::new(Candidate {
        kind: request.kind.into_owned(),
        namespace: request.namespace.into_owned(),
        name: request.name.into_owned(),
        judged: change.object.kind(),
        change,
        value: review.pointer("/request/object").cloned().unwrap_or_default(),
        path: FieldPath::fields(["request", "object"]),
    })))
}
