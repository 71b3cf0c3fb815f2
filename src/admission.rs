//! The API server's `AdmissionReview` (`admission.k8s.io/v1`): from bytes to a change, and from a verdict to bytes.
//!
//! Invariant: this module knows the wire format and calls the rules through one door. It knows no HTTP.

mod body;
mod groups;
mod outline;
mod patch;
mod request;
mod response;
mod wording;

pub use body::{Body, UNREAD};
pub use groups::Groups;
pub use patch::{PatchError, edited};
pub use request::{DecodeError, Request, decode};

use json_patch::Patch;

use crate::change::Phase;
use crate::rules;
use crate::snapshot::Snapshot;
use crate::verdict::Verdict;

/// What becomes of a review.
#[derive(Debug)]
pub enum Outcome<'b> {
    /// It was judged; `body` is the answer for the API server.
    Judged {
        /// What was asked.
        request: Request<'b>,
        /// What the rules say; empty for what no rule is about.
        verdict: Verdict,
        /// What is changed, if anything is.
        patch: Option<Patch>,
        /// The `AdmissionReview` to send.
        body: Vec<u8>,
    },
    /// The request has a uid, but its object cannot be read: a proper denial, so that the user learns why.
    Unreadable {
        /// What was asked, as far as it can be read.
        request: Request<'b>,
        /// Why.
        error: DecodeError,
        /// The `AdmissionReview` to send.
        body: Vec<u8>,
    },
    /// There is not even a uid to answer to.
    Malformed(DecodeError),
    /// What the request depends on is not known: there must be no verdict.
    Unknown(Request<'b>),
    /// The edits do not apply. A bug, and never an answer.
    Unprovable(PatchError),
}

/// Judges one `AdmissionReview`.
#[must_use]
pub fn review<'b>(body: &'b Body<'_>, phase: Phase, facts: &Snapshot) -> Outcome<'b> {
    let request = match decode(body) {
        Ok(request) => request,
        Err(error) => {
            return match outline::of(body.whole) {
                Some(request) => {
                    Outcome::Unreadable { body: response::unreadable(&request.uid, &error), request, error }
                }
                None => Outcome::Malformed(error),
            };
        }
    };
    let Some(change) = &request.change else {
        let verdict = Verdict::default();
        return Outcome::Judged { body: response::untouched(&request.uid), request, verdict, patch: None };
    };
    if !facts.know(change) {
        return Outcome::Unknown(request);
    }
    let verdict = rules::judge(change, phase, facts);
    match response::judged(&request, change, &verdict) {
        Ok((body, patch)) => Outcome::Judged { request, verdict, patch, body },
        Err(error) => Outcome::Unprovable(error),
    }
}
