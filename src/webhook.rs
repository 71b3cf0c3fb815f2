//! The webhook: it answers the API server's calls by the latest snapshot, and counts, logs and records each review.

mod metrics;
mod record;
mod topology_labels;

pub use metrics::ReviewMetrics;
pub use record::Decisions;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::admission::{self, Body, ReviewError, Terms};
use crate::audit::bounded::{message, name};
use crate::server::{Authentication, Call, Caller, Handled, Handler, Reply, StatusCode};
use crate::snapshot::Snapshot;
use metrics::Unanswered;
use record::ReviewEvent;

/// The handler of the API server's calls, which judges by the latest snapshot.
#[derive(Debug)]
pub struct Webhook {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    metrics: ReviewMetrics,
    decisions: Option<Decisions>,
    node_names: NodeNames,
}

/// Who learns the names of current nodes from a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum NodeNames {
    /// Callers with a client certificate: they are known to be the API server.
    #[default]
    Authenticated,
    /// Whoever calls.
    Always,
}

impl Webhook {
    /// Creates a webhook that judges by the latest of `snapshots`, and answers 503 while there is none.
    #[must_use]
    pub fn new(
        snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
        metrics: ReviewMetrics,
        decisions: Option<Decisions>,
        node_names: NodeNames,
    ) -> Self {
        Self { snapshots, metrics, decisions, node_names }
    }

    /// Answers a call; `None` for a heavy one, unless `answers_heavy`.
    fn answer(&self, call: &Call<'_>, answers_heavy: bool, start: Instant) -> Option<Reply> {
        // The snapshot is cloned, so that a review never delays the next one.
        let latest = self.snapshots.borrow().clone();
        let Some(snapshot) = latest else {
            self.metrics.unanswered(Unanswered::NotSynced);
            return Some(Reply::unavailable("lockstep does not know the cluster's state"));
        };
        let authentication = call.caller.authentication();
        let names_nodes =
            self.node_names == NodeNames::Always || authentication == Authentication::ClientCertificate;
        let terms = Terms { names_nodes, answers_heavy };
        match admission::review_under(terms, &Body::new(call.body), call.phase, &snapshot) {
            Ok(review) => {
                self.metrics.reviewed(call.phase, authentication, &review);
                ReviewEvent {
                    phase: call.phase,
                    caller: call.caller,
                    review: &review,
                    snapshot: &snapshot,
                    start,
                    metrics: &self.metrics,
                }
                .record(self.decisions.as_ref());
                Some(Reply::json(review.response))
            }
            Err(error) => self.unanswered(&error, &call.caller),
        }
    }

    /// The reply without a verdict: the API server retries a 503, and applies its failure policy if the retries fail,
    /// too. `None` for a heavy review, which is answered later.
    fn unanswered(&self, error: &ReviewError<'_>, caller: &Caller<'_>) -> Option<Reply> {
        Some(match error {
            ReviewError::Malformed(error) => {
                self.metrics.unanswered(Unanswered::Malformed);
                Reply::text(StatusCode::BAD_REQUEST, message(&error.to_string()))
            }
            ReviewError::NotKnown(request) => {
                if caller.take_record() {
                    tracing::info!(
                        uid = name(&request.uid).as_ref(),
                        namespace = name(&request.namespace).as_ref(),
                        "review deferred: the state of its namespace has not been read yet"
                    );
                }
                self.metrics.unanswered(Unanswered::NotKnown);
                Reply::unavailable(error.to_string())
            }
            ReviewError::Patch(defect) => {
                if caller.take_record() {
                    tracing::error!(error = %defect, "a patch does not apply and was not sent");
                }
                self.metrics.unanswered(Unanswered::Unprovable);
                Reply::unavailable(error.to_string())
            }
            ReviewError::Heavy => return None,
        })
    }
}

impl Handler for Webhook {
    fn handle(&self, call: Call<'_>) -> Handled {
        let start = Instant::now();
        match self.answer(&call, false, start) {
            Some(reply) => {
                self.metrics.observe_duration(call.phase, start.elapsed());
                Handled::Reply(reply)
            }
            None => Handled::Heavy,
        }
    }

    fn handle_heavy(&self, call: Call<'_>) -> Reply {
        let start = Instant::now();
        let reply = self.answer(&call, true, start);
        self.metrics.observe_duration(call.phase, start.elapsed());
        // The terms exclude nothing, so there is one.
        reply.unwrap_or_else(|| Reply::unavailable("the review is heavy"))
    }
}
