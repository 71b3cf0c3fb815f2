//! The webhook: where the server's calls meet the facts and the rules, and where what was decided is
//! recorded.

mod metrics;
mod record;
mod topologies;

pub use metrics::Metrics;
pub use record::Decisions;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::admission::{self, Body, Outcome};
use crate::change::Phase;
use crate::server::{Call, Handler, Reply, StatusCode};
use crate::snapshot::Snapshot;
use metrics::Unanswered;
use record::Judged;

/// Answers the API server's calls from the latest facts.
#[derive(Debug)]
pub struct Webhook {
    facts: watch::Receiver<Option<Arc<Snapshot>>>,
    metrics: Metrics,
    decisions: Option<Decisions>,
}

impl Webhook {
    /// A webhook that answers once there are facts, and from then on by the latest ones.
    #[must_use]
    pub fn new(
        facts: watch::Receiver<Option<Arc<Snapshot>>>,
        metrics: Metrics,
        decisions: Option<Decisions>,
    ) -> Self {
        Self { facts, metrics, decisions }
    }

    /// No verdict: the API server tries again, and as long as it gets none, its failure policy decides.
    fn unanswered(&self, reason: Unanswered, sentence: &str) -> Reply {
        self.metrics.unanswered(reason);
        Reply::unavailable(sentence)
    }

    fn answer(&self, phase: Phase, body: &[u8], start: Instant) -> Reply {
        // Held for one review, some tens of microseconds: the next snapshot waits that long.
        let facts = self.facts.borrow();
        let Some(facts) = facts.as_deref() else {
            return self.unanswered(Unanswered::NotSynced, "lockstep does not know the cluster's state");
        };
        match admission::review(&Body::new(body), phase, facts) {
            Outcome::Judged { request, verdict, patch, body } => {
                self.metrics.judged(phase, &request, &verdict);
                let (request, verdict, patch) = (&request, &verdict, patch.as_ref());
                let judged = Judged { phase, request, verdict, patch, facts, start };
                judged.record(self.decisions.as_ref());
                Reply::json(body)
            }
            Outcome::Unreadable { request, error, body } => {
                self.metrics.unreadable(phase, &request);
                record::unreadable(self.decisions.as_ref(), phase, &request, &error, start);
                Reply::json(body)
            }
            Outcome::Malformed(error) => {
                self.metrics.unanswered(Unanswered::Malformed);
                Reply::text(StatusCode::BAD_REQUEST, error.to_string())
            }
            Outcome::Unknown(request) => {
                tracing::info!(
                    uid = &*request.uid,
                    namespace = &*request.namespace,
                    "a review waits for the state of its namespace"
                );
                self.unanswered(Unanswered::NotKnown, "lockstep has not read the state of this namespace yet")
            }
            Outcome::Unprovable(error) => {
                tracing::error!(error = %error, "a patch could not be proven and was not sent");
                self.unanswered(
                    Unanswered::Unprovable,
                    "lockstep made a patch that does not apply: this is a defect",
                )
            }
        }
    }
}

impl Handler for Webhook {
    fn handle(&self, call: Call<'_>) -> Reply {
        let start = Instant::now();
        let phase = call.phase;
        let reply = self.answer(phase, call.body, start);
        self.metrics.took(phase, start.elapsed());
        reply
    }
}
