//! The API server's `AdmissionReview` (`admission.k8s.io/v1`): decode the request, judge it, encode the response.
//!
//! Invariant: this module reads and writes the wire format, and calls the rules through [`rules::judge`] only. It has
//! no HTTP.

mod patch;
mod request;
mod response;
mod unread;

pub use patch::{PatchError, edited};
use request::Undecoded;
pub use request::{DecodeError, Groups, Request, decode};
pub use unread::{Body, UNREAD};

use json_patch::Patch;
use k8s_openapi::jiff::Timestamp;

use crate::change::Phase;
use crate::rules;
use crate::snapshot::Snapshot;
use crate::verdict::Verdict;

/// A review that has a response.
#[derive(Debug)]
pub struct Review<'b> {
    /// The request, as far as it could be decoded.
    pub request: Request<'b>,
    /// The decision on the request.
    pub decision: Decision,
    /// The `AdmissionReview` for the API server, as JSON.
    pub response: Vec<u8>,
}

/// The decision on a request.
#[derive(Debug)]
pub enum Decision {
    /// The rules' verdict; empty for a request that no rule covers.
    Judged {
        /// Findings and edits.
        verdict: Verdict,
        /// The patch in the response, from the edits; `None` if there are no edits.
        patch: Option<Patch>,
    },
    /// The object cannot be decoded. The response says why.
    Undecodable {
        /// The mistake.
        error: DecodeError,
        /// Whether the request is denied. A workload is allowed with a warning, because its pods are judged.
        is_denied: bool,
    },
}

/// The conditions under which a review is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether the response may name current nodes. Who is not known to be the API server learns the witness alone.
    pub names_nodes: bool,
    /// Whether a heavy review is answered, or returned as [`ReviewError::Heavy`].
    pub answers_heavy: bool,
    /// The time of the review, from which exceptions with an end count.
    pub time: Timestamp,
}

/// A review that has no response: the API server retries the call or applies its failure policy.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError<'b> {
    /// The body is not a review, or a review without the uid that a response must repeat.
    #[error(transparent)]
    Malformed(DecodeError),
    /// The snapshot lacks the state of a namespace that the request depends on.
    #[error("lockstep has not read the state of this namespace yet")]
    NotKnown(Box<Request<'b>>),
    /// The review takes more time than other reviews may wait, and the terms exclude it.
    #[error("the review is heavy")]
    Heavy,
    /// The patch from the edits does not apply. This is a defect, and such a patch is never sent.
    #[error("lockstep made a patch that does not apply: this is a defect")]
    Patch(#[from] PatchError),
}

/// Judges one `AdmissionReview` against the snapshot, for the API server and whatever it takes.
///
/// # Errors
/// [`ReviewError`] if any response would be a guess.
pub fn review<'b>(
    body: &'b Body<'_>,
    phase: Phase,
    snapshot: &Snapshot,
) -> Result<Review<'b>, ReviewError<'b>> {
    let terms = Terms { names_nodes: true, answers_heavy: true, time: Timestamp::now() };
    review_under(terms, body, phase, snapshot)
}

/// Judges one `AdmissionReview` against the snapshot, under these terms.
///
/// # Errors
/// [`ReviewError`] if any response would be a guess, or if the terms exclude the review.
pub fn review_under<'b>(
    terms: Terms,
    body: &'b Body<'_>,
    phase: Phase,
    snapshot: &Snapshot,
) -> Result<Review<'b>, ReviewError<'b>> {
    let request = match decode(body) {
        Ok(mut request) => {
            if let Some(change) = &mut request.change {
                change.time = Some(terms.time);
            }
            request
        }
        Err(error) => {
            let Some(Undecoded { request, is_of_workload }) = request::decode_without_object(body) else {
                return Err(ReviewError::Malformed(error));
            };
            let is_denied = !is_of_workload;
            let response = response::undecodable(&request.uid, &error, is_denied);
            return Ok(Review { request, decision: Decision::Undecodable { error, is_denied }, response });
        }
    };
    let verdict = match &request.change {
        Some(change) if !snapshot.know(change) => return Err(ReviewError::NotKnown(Box::new(request))),
        Some(change) if !terms.answers_heavy && rules::is_heavy(change, snapshot) => {
            return Err(ReviewError::Heavy);
        }
        Some(change) => rules::judge(change, phase, snapshot),
        None => Verdict::default(),
    };
    let patch = patch::patch(&request, &verdict)?;
    let response = response::judged(&request, &verdict, patch.as_ref(), terms.names_nodes);
    Ok(Review { request, decision: Decision::Judged { verdict, patch }, response })
}
