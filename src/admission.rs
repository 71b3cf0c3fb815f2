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

use crate::facts::Facts;
use crate::rules::{self, Change};
use crate::verdict::Verdict;

/// Which of the API server's two questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// What is to be changed before the object is validated and stored.
    Mutate,
    /// Whether the object may be stored as it is.
    Validate,
}

impl Phase {
    /// The word that metrics, logs and paths use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

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
pub fn review<'b>(body: &'b Body<'_>, phase: Phase, facts: &Facts) -> Outcome<'b> {
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
    let verdict = judge(change, phase, facts);
    match response::judged(&request, change, &verdict) {
        Ok((body, patch)) => Outcome::Judged { request, verdict, patch, body },
        Err(error) => Outcome::Unprovable(error),
    }
}

fn judge(change: &Change, phase: Phase, facts: &Facts) -> Verdict {
    match phase {
        Phase::Mutate => rules::mutate(change, facts),
        Phase::Validate => rules::validate(change, facts),
    }
}
