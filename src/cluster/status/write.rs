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
use super::super::schedule::{Content, Schedule, Stored};
use super::events::Events;
use super::verdicts::{StoredTopology, Verdict};
use super::wanted::wanted_status;
use crate::topology::{GatewayTopology, GatewayTopologyStatus};

/// The field manager of the status. It is the same for all replicas.
const FIELD_MANAGER: &str = "lockstep";

/// The maximum pause between two attempts. A late status does no harm.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When the next status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// Every status is stored.
    Never,
}

impl Content for GatewayTopologyStatus {
    fn timeless(&self) -> Self {
        let mut status = self.clone();
        for condition in &mut status.conditions {
            condition.last_transition_time.0 = Timestamp::UNIX_EPOCH;
        }
        status
    }
}

fn stored(topology: &StoredTopology) -> Stored<'_, GatewayTopologyStatus> {
    Stored { uid: &topology.uid, version: &topology.resource_version, content: &topology.status }
}

/// Writes the status of topologies.
pub(super) struct Writer {
    topologies: Api<DynamicObject>,
    metrics: WatchMetrics,
    schedule: Schedule<GatewayTopologyStatus>,
    backoff: Backoff<String>,
    /// The end of the pause after a failure.
    paused_until: Option<Instant>,
    events: Events,
}

impl Writer {
    pub(super) fn new(client: Client, metrics: WatchMetrics, events: Events) -> Self {
        let topologies = Api::all_with(client, &WatchedKind::GatewayTopology.resource());
        Self {
            topologies,
            metrics,
            schedule: Schedule::default(),
            backoff: Backoff::new(LONGEST_PAUSE),
            paused_until: None,
            events,
        }
    }

    /// Counts the verdicts, and returns when the next one is to be written.
    pub(super) fn due(&mut self, verdicts: &[Verdict<'_>], now: Instant) -> Due {
        let guarded = verdicts.iter().filter(|verdict| verdict.guarded.is_guarded()).count();
        self.metrics.set_guarded(guarded, verdicts.len().saturating_sub(guarded));
        let uids: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.topology.uid.as_str()).collect();
        self.schedule.keep_only(&uids);
        let times = verdicts.iter().filter_map(|verdict| self.time_of(verdict, now));
        match times.collect::<Vec<_>>().into_iter().min() {
            None => {
                self.succeed();
                Due::Never
            }
            // After a failure, every write waits for the end of the pause.
            Some(time) => match time.max(self.paused_until.unwrap_or(now)) {
                time if time <= now => Due::Now,
                time => Due::At(time),
            },
        }
    }

    /// The earliest time to write a verdict; `None` if it is stored, or what is stored is about to be received.
    fn time_of(&mut self, verdict: &Verdict<'_>, now: Instant) -> Option<Instant> {
        let wanted = wanted_status(verdict, Timestamp::now());
        if wanted == verdict.topology.status {
            self.schedule.note_agreement(stored(verdict.topology), now);
            return None;
        }
        self.schedule.not_before(stored(verdict.topology), &wanted, now)
    }

    /// Writes every verdict that is due now. Returns the time of the next attempt if nothing changes.
    pub(super) async fn write_due(&mut self, verdicts: &[Verdict<'_>]) -> Option<Instant> {
        let (mut wake, mut failure) = (Vec::new(), None);
        for verdict in verdicts {
            let now = Instant::now();
            match self.time_of(verdict, now) {
                None => {}
                Some(time) if time > now => wake.push(time),
                Some(_) => failure = self.write(verdict).await.err().or(failure),
            }
        }
        match failure {
            Some(error) => wake.extend(self.fail(&error)),
            None => self.succeed(),
        }
        wake.into_iter().min()
    }

    /// Records that what a write is based on could not be read. Returns the time of the next attempt.
    pub(super) fn fail_to_read(&mut self, error: &kube::Error) -> Option<Instant> {
        self.metrics.count_write(WriteResult::Failed);
        self.fail(error)
    }

    /// Logs a failure if it differs from the last one. Returns the time of the next attempt.
    fn fail(&mut self, error: &kube::Error) -> Option<Instant> {
        let failure = message(error);
        if self.backoff.fail(failure.clone()) {
            warn!(error = failure, "writing the status of topologies failed; retrying");
        } else {
            debug!(error = failure, "writing the status of topologies still fails");
        }
        self.paused_until = Instant::now().checked_add(self.backoff.pause());
        self.paused_until
    }

    fn succeed(&mut self) {
        self.paused_until = None;
        if self.backoff.succeed() {
            info!("writing the status of topologies recovered");
        }
    }

    /// Writes one status. A conflict is not a failure: the topology has changed, and the watch will receive the
    /// change.
    async fn write(&mut self, verdict: &Verdict<'_>) -> Result<(), kube::Error> {
        let Verdict { name, topology, .. } = verdict;
        let status = wanted_status(verdict, Timestamp::now());
        let patch = json!({
            "apiVersion": GatewayTopology::api_version(&()),
            "kind": GatewayTopology::kind(&()),
            "metadata": {"name": name, "resourceVersion": topology.resource_version},
            "status": &status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.topologies.patch_status(name, &params, &Patch::Apply(&patch)).await {
            Ok(_) => {
                let conditions = status.conditions.iter().map(|it| format!("{}={}", it.type_, it.status));
                let conditions = conditions.collect::<Vec<_>>().join(" ");
                info!(topology = name, conditions, "wrote the status of a topology");
                self.metrics.count_write(WriteResult::Stored);
                self.schedule.note(stored(topology), &status, Instant::now());
                self.events.send(name, topology, &status);
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
