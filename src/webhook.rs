//! The webhook: it answers the API server's calls by the latest snapshot, and counts, logs and records each review.

mod metrics;
mod record;
mod topology_labels;

pub use metrics::ReviewMetrics;
pub use record::Decisions;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::admission::{self, Body, ReviewError};
use crate::change::Phase;
use crate::server::{Call, Handler, Reply, StatusCode};
use crate::snapshot::Snapshot;
use metrics::Unanswered;
use record::ReviewEvent;

/// The handler of the API server's calls, which judges by the latest snapshot.
#[derive(Debug)]
pub struct Webhook {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    metrics: ReviewMetrics,
    decisions: Option<Decisions>,
}

impl Webhook {
    /// Creates a webhook that judges by the latest of `snapshots`, and answers 503 while there is none.
    #[must_use]
    pub fn new(
        snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
        metrics: ReviewMetrics,
        decisions: Option<Decisions>,
    ) -> Self {
        Self { snapshots, metrics, decisions }
    }

    fn answer(&self, phase: Phase, body: &[u8], start: Instant) -> Reply {
        // The snapshot is cloned, so that a review never delays the next one.
        let latest = self.snapshots.borrow().clone();
        let Some(snapshot) = latest else {
            self.metrics.unanswered(Unanswered::NotSynced);
            return Reply::unavailable("lockstep does not know the cluster's state");
        };
        match admission::review(&Body::new(body), phase, &snapshot) {
            Ok(review) => {
                self.metrics.reviewed(phase, &review);
                ReviewEvent { phase, review: &review, snapshot: &snapshot, start }
                    .record(self.decisions.as_ref());
                Reply::json(review.response)
            }
            Err(error) => self.unanswered(&error),
        }
    }

    /// The reply without a verdict: the API server retries a 503, and applies its failure policy if the retries fail,
    /// too.
    fn unanswered(&self, error: &ReviewError<'_>) -> Reply {
        match error {
            ReviewError::Malformed(error) => {
                self.metrics.unanswered(Unanswered::Malformed);
                Reply::text(StatusCode::BAD_REQUEST, error.to_string())
            }
            ReviewError::NotKnown(request) => {
                tracing::info!(
                    uid = &*request.uid,
                    namespace = &*request.namespace,
                    "review deferred: the state of its namespace has not been read yet"
                );
                self.metrics.unanswered(Unanswered::NotKnown);
                Reply::unavailable(error.to_string())
            }
            ReviewError::Patch(defect) => {
                tracing::error!(error = %defect, "a patch does not apply and was not sent");
                self.metrics.unanswered(Unanswered::Unprovable);
                Reply::unavailable(error.to_string())
            }
        }
    }
}

impl Handler for Webhook {
    fn handle(&self, call: Call<'_>) -> Reply {
        let start = Instant::now();
        let reply = self.answer(call.phase, call.body, start);
        self.metrics.observe_duration(call.phase, start.elapsed());
        reply
    }
}
