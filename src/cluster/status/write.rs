//! Writes status, by server-side apply.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::time::Instant;
use tracing::info;

use super::super::metrics::Wrote;
use super::super::{WatchMetrics, Watched};
use super::condition::next;
use super::rate_limit::RateLimit;
use super::trouble::Trouble;
use super::verdicts::Verdict;
use crate::topology::{GatewayTopology, GatewayTopologyStatus};

/// Who the fields of the status belong to. All replicas are one.
const FIELD_MANAGER: &str = "lockstep";

/// Writes the status of topologies.
pub(super) struct Writer {
    topologies: Api<DynamicObject>,
    metrics: WatchMetrics,
    rate_limit: RateLimit,
    trouble: Trouble,
}

impl Writer {
    pub(super) fn new(client: Client, metrics: WatchMetrics) -> Self {
        let topologies = Api::all_with(client, &Watched::GatewayTopology.resource());
        Self { topologies, metrics, rate_limit: RateLimit::default(), trouble: Trouble::default() }
    }

    /// Takes in what the verdicts are now, and says whether some are not stored yet.
    pub(super) fn is_due(&mut self, verdicts: &[Verdict<'_>]) -> bool {
        let guarded = verdicts.iter().filter(|verdict| verdict.guarded.is_guarded()).count();
        self.metrics.set_guarded(guarded, verdicts.len().saturating_sub(guarded));
        let uids: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.topology.uid.as_str()).collect();
        self.rate_limit.keep_only(&uids);
        let has_work = verdicts.iter().any(|verdict| next(verdict, Timestamp::now()).is_some());
        if !has_work {
            self.trouble.over();
        }
        has_work
    }

    /// Writes every verdict that is not stored yet; says when to look again although nothing has changed.
    pub(super) async fn write_due(&mut self, verdicts: &[Verdict<'_>]) -> Option<Instant> {
        let (mut wake, mut failure) = (Vec::new(), None);
        for verdict in verdicts {
            match self.write_one(verdict).await {
                Ok(not_before) => wake.extend(not_before),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => wake.extend(self.note(&error)),
            None => self.trouble.over(),
        }
        wake.into_iter().min()
    }

    /// Notes a failure; says when to try again.
    pub(super) fn note(&mut self, error: &kube::Error) -> Option<Instant> {
        Instant::now().checked_add(self.trouble.note(error))
    }

    async fn write_one(&mut self, verdict: &Verdict<'_>) -> Result<Option<Instant>, kube::Error> {
        let Verdict { topology, guarded, .. } = verdict;
        let not_before =
            self.rate_limit.not_before(&topology.uid, topology.generation, guarded, Instant::now());
        match next(verdict, Timestamp::now()) {
            None => Ok(None),
            Some(_) if not_before.is_some() => Ok(not_before),
            Some(status) => self.write(verdict, &status).await.map(|()| None),
        }
    }

    /// A conflict is no failure: the topology has changed, and the watch is about to tell how.
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
                info!(
                    topology = name,
                    guarded = guarded.is_guarded(),
                    reason,
                    message,
                    "the status is written"
                );
                self.metrics.count_write(Wrote::Stored);
                self.rate_limit.note(&topology.uid, topology.generation, guarded, Instant::now());
                Ok(())
            }
            Err(kube::Error::Api(answer)) if answer.code == 409 => {
                self.metrics.count_write(Wrote::Conflict);
                Ok(())
            }
            Err(error) => {
                self.metrics.count_write(Wrote::Failed);
                Err(error)
            }
        }
    }
}
