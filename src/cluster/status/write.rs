//! Writing the status of topologies, by server-side apply.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::super::WatchMetrics;
use super::super::backoff::Backoff;
use super::super::failure::words;
use super::super::kinds::WatchedKind;
use super::super::metrics::WriteResult;
use super::condition::due_status;
use super::rate_limit::RateLimit;
use super::verdicts::Verdict;
use crate::topology::{GatewayTopology, GatewayTopologyStatus};

/// The field manager of the status. It is the same for all replicas.
const FIELD_MANAGER: &str = "lockstep";

/// The maximum pause between two attempts. A late status does no harm.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Writes the status of topologies.
pub(super) struct Writer {
    topologies: Api<DynamicObject>,
    metrics: WatchMetrics,
    rate_limit: RateLimit,
    backoff: Backoff<String>,
}

impl Writer {
    pub(super) fn new(client: Client, metrics: WatchMetrics) -> Self {
        let topologies = Api::all_with(client, &WatchedKind::GatewayTopology.resource());
        Self { topologies, metrics, rate_limit: RateLimit::default(), backoff: Backoff::new(LONGEST_PAUSE) }
    }

    /// Counts the verdicts, and returns whether some are not stored yet.
    pub(super) fn is_due(&mut self, verdicts: &[Verdict<'_>]) -> bool {
        let guarded = verdicts.iter().filter(|verdict| verdict.guarded.is_guarded()).count();
        self.metrics.set_guarded(guarded, verdicts.len().saturating_sub(guarded));
        let uids: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.topology.uid.as_str()).collect();
        self.rate_limit.keep_only(&uids);
        let is_due = verdicts.iter().any(|verdict| due_status(verdict, Timestamp::now()).is_some());
        if !is_due {
            self.succeed();
        }
        is_due
    }

    /// Writes every verdict that is not stored yet. Returns the time of the next attempt if nothing changes.
    pub(super) async fn write_due(&mut self, verdicts: &[Verdict<'_>]) -> Option<Instant> {
        let (mut wake, mut failure) = (Vec::new(), None);
        for verdict in verdicts {
            match self.write_one_due(verdict).await {
                Ok(not_before) => wake.extend(not_before),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => wake.extend(self.fail(&error)),
            None => self.succeed(),
        }
        wake.into_iter().min()
    }

    /// Logs a failure if it differs from the last one. Returns the time of the next attempt.
    pub(super) fn fail(&mut self, error: &kube::Error) -> Option<Instant> {
        let failure = message(error);
        if self.backoff.fail(failure.clone()) {
            warn!(error = failure, "writing the status of topologies failed; retrying");
        } else {
            debug!(error = failure, "writing the status of topologies still fails");
        }
        Instant::now().checked_add(self.backoff.pause())
    }

    fn succeed(&mut self) {
        if self.backoff.succeed() {
            info!("writing the status of topologies recovered");
        }
    }

    async fn write_one_due(&mut self, verdict: &Verdict<'_>) -> Result<Option<Instant>, kube::Error> {
        let Verdict { topology, guarded, .. } = verdict;
        let not_before =
            self.rate_limit.not_before(&topology.uid, topology.generation, guarded, Instant::now());
        match due_status(verdict, Timestamp::now()) {
            None => Ok(None),
            Some(_) if not_before.is_some() => Ok(not_before),
            Some(status) => self.write(verdict, &status).await.map(|()| None),
        }
    }

    /// Writes one status. A conflict is not a failure: the topology has changed, and the watch will receive the
    /// change.
    async fn write(
        &mut self,
        verdict: &Verdict<'_>,
        status: &GatewayTopologyStatus,
    ) -> Result<(), kube::Error> {
        let Verdict { name, topology, guarded } = verdict;
        let patch = json!({
            "apiVersion": GatewayTopology::api_version(&()),
            "kind": GatewayTopology::kind(&()),
            "metadata": {"name": name, "resourceVersion": topology.resource_version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.topologies.patch_status(name, &params, &Patch::Apply(&patch)).await {
            Ok(_) => {
                let (reason, message) = (guarded.reason.as_str(), guarded.message.as_str());
                let guarded_now = guarded.is_guarded();
                info!(
                    topology = name,
                    guarded = guarded_now,
                    reason,
                    message,
                    "wrote the status of a topology"
                );
                self.metrics.count_write(WriteResult::Stored);
                self.rate_limit.note(&topology.uid, topology.generation, guarded, Instant::now());
                Ok(())
            }
            Err(kube::Error::Api(answer)) if answer.code == 409 => {
                self.metrics.count_write(WriteResult::Conflict);
                Ok(())
            }
            Err(error) => {
                self.metrics.count_write(WriteResult::Failed);
                Err(error)
            }
        }
    }
}

/// Returns the text of a failed write. A chart's upgrade does not update the CRD, and an old CRD has no status.
fn message(error: &kube::Error) -> String {
    let words = words(error);
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!("{words}: apply the output of `lockstep crd`")
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_failure_because_of_an_old_definition_names_the_remedy() {
        let error = |code| kube::Error::Api(Status::failure("no", "").with_code(code).boxed());
        assert_eq!(message(&error(403)), "no (403)");
        assert_eq!(message(&error(404)), "no (404): apply the output of `lockstep crd`");
    }
}
