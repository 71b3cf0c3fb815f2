//! The webhook: it answers the API server's calls by the latest snapshot, and counts, logs, records and traces each review.

mod metrics;
mod record;
mod span;
mod topology_labels;

pub use metrics::ReviewMetrics;
pub use record::Decisions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

use crate::admission::{self, Body, Decision, Review, ReviewError, Terms};
use crate::audit::bounded::{message, name};
use crate::server::{Authentication, Call, Caller, Handled, Handler, Reply, StatusCode};
use crate::snapshot::Snapshot;
use crate::trace::SpanExporter;
use crate::verdict::Reason;
use metrics::Unanswered;
use record::ReviewEvent;

/// The handler of the API server's calls, which judges by the latest snapshot.
#[derive(Debug)]
pub struct Webhook {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    metrics: ReviewMetrics,
    decisions: Option<Decisions>,
    spans: Option<SpanExporter>,
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
    /// Creates a webhook that judges by the latest of `snapshots`, and answers 503 while there is none. It records reviews in `decisions`,
    /// and exports those of sampled traces to `spans`.
    #[must_use]
    pub fn new(
        snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
        metrics: ReviewMetrics,
        decisions: Option<Decisions>,
        spans: Option<SpanExporter>,
        node_names: NodeNames,
    ) -> Self {
        Self { snapshots, metrics, decisions, spans, node_names }
    }

    /// Answers a call. Unless it `answers_all`, a heavy one is left, and one for which the snapshot may lag behind.
    fn answer(&self, call: &Call<'_>, answers_all: bool, start: Instant) -> Handled {
        // The snapshot is cloned, so that a review never delays the next one.
        let latest = self.snapshots.borrow().clone();
        let Some(snapshot) = latest else {
            self.metrics.unanswered(Unanswered::NotSynced);
            let reply = Reply::unavailable("lockstep does not know the cluster's state");
            span::export(self.spans.as_ref(), call, reply.status, None);
            return Handled::Reply(reply);
        };
        let authentication = call.caller.authentication();
        let names_nodes =
            self.node_names == NodeNames::Always || authentication == Authentication::ClientCertificate;
        let terms = Terms { names_nodes, answers_heavy: answers_all, time: Timestamp::now() };
        match admission::review_under(terms, &Body::new(call.body), call.phase, &snapshot) {
            Ok(review) if !answers_all && may_lag(&review) => Handled::Behind,
            Ok(review) => {
                self.metrics.reviewed(call.phase, authentication, &review);
                ReviewEvent {
                    phase: call.phase,
                    caller: call.caller,
                    trace: call.trace,
                    review: &review,
                    snapshot: &snapshot,
                    start,
                    metrics: &self.metrics,
                }
                .record(self.decisions.as_ref());
                span::export(self.spans.as_ref(), call, StatusCode::OK, Some(&review));
                Handled::Reply(Reply::json(review.response))
            }
            Err(error) => {
                let handled = self.unanswered(&error, &call.caller);
                if let Handled::Reply(reply) = &handled {
                    span::export(self.spans.as_ref(), call, reply.status, None);
                }
                handled
            }
        }
    }

    /// The reply without a verdict: the API server retries a 503, and applies its failure policy if the retries fail,
    /// too. A heavy review is answered later.
    fn unanswered(&self, error: &ReviewError<'_>, caller: &Caller<'_>) -> Handled {
        Handled::Reply(match error {
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
            ReviewError::Heavy => return Handled::Heavy,
        })
    }
}

impl Handler for Webhook {
    fn handle(&self, call: Call<'_>) -> Handled {
        let start = Instant::now();
        let handled = self.answer(&call, false, start);
        if matches!(handled, Handled::Reply(_)) {
            self.metrics.observe_duration(call.phase, start.elapsed(), call.trace);
        }
        handled
    }

    fn handle_heavy(&self, call: Call<'_>) -> Reply {
        let start = Instant::now();
        let reply = self.answer(&call, true, start);
        self.metrics.observe_duration(call.phase, start.elapsed(), call.trace);
        match reply {
            Handled::Reply(reply) => reply,
            // The terms exclude nothing.
            Handled::Heavy | Handled::Behind => Reply::unavailable("the review is heavy"),
        }
    }

    fn newer(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let mut snapshots = self.snapshots.clone();
        snapshots.mark_unchanged();
        Box::pin(async move { snapshots.changed().await.is_ok() })
    }
}

/// Whether a newer snapshot may take a finding back: the pool that it misses may have been created a moment before.
fn may_lag(review: &Review<'_>) -> bool {
    match &review.decision {
        Decision::Judged { verdict, .. } => {
            verdict.findings.iter().any(|finding| finding.reason == Reason::UnknownPool)
        }
        Decision::Undecodable { .. } => false,
    }
}
