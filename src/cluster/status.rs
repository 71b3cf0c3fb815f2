//! The status of topologies: whether the live webhook configurations cover them, and whether the client's source IP
//! survives in the state of the cluster.
//!
//! Every replica watches the same objects, reaches the same verdict, and writes it if the stored status differs. The replica
//! that has written a status also writes the Events about what it changed.
//!
//! Invariants:
//! * A write contains the version of the topology that was judged, so one of several replicas writes, and the others
//!   find nothing to write.
//! * A written verdict is based on configurations that were read after that version: no older verdict replaces a newer
//!   one. A replica whose assessment is older than the stored one yields to it.
//! * Writes are bounded, however often the state changes.

mod events;
mod verdicts;
mod wanted;
mod write;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assessor::AssessmentsReceiver;
use super::decode::ReceivedObject;
use super::kinds::{Target, WatchedKind};
use super::last_assessments::LastAssessments;
use super::liveness::Liveness;
use super::store::{Store, Update, WatchId};
use super::wake::{next_value, until};
use super::watch_loop::{WATCH_SECONDS, WatchLoop};
use super::webhook_configurations::{ObservedConfiguration, WebhookConfigurations};
use super::{Error, WatchMetrics};
use crate::coverage::{CallTarget, Calls, Configuration, Configurations};
use crate::snapshot::ObjectKey;
use events::Events;
use verdicts::{StoredTopology, verdicts};
use write::{Due, Writer};

/// The maximum number of queued updates while status is written.
const WAITING_UPDATES: usize = 64;

/// The inputs that topologies are compared with.
#[derive(Debug, Clone)]
pub struct StatusInputs {
    /// The newest assessments, from [`assessor`](super::assessor()).
    pub assessments: AssessmentsReceiver,
    /// The two webhook configurations, from [`watch_webhook_configurations`](super::watch_webhook_configurations).
    pub configurations: watch::Receiver<WebhookConfigurations>,
    /// The certificates in PEM that a client must trust to call this replica, such as the CA of the serving
    /// certificate. `None` if they are unknown, so that any `caBundle` passes.
    pub trust_anchors: watch::Receiver<Option<String>>,
    /// Whether calls of the webhooks arrive, from [`webhook_calls`](super::webhook_calls()). What calls a Service is
    /// judged once its target was tried.
    pub calls: watch::Receiver<Arc<Calls>>,
}

/// Keeps the status of all topologies current, until `shutdown`.
///
/// # Errors
/// [`Error::WatchEnded`] and [`Error::Broken`]. An API server that is unreachable or rejects requests is not an error:
/// it is logged, counted and retried.
pub async fn reconcile_status(
    client: Client,
    inputs: StatusInputs,
    metrics: WatchMetrics,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (sender, updates) = mpsc::channel(WAITING_UPDATES);
    // The metrics of this kind belong to the watch for snapshots, whose silence this watch must not hide.
    let uncounted = WatchMetrics::default();
    let watch = WatchLoop {
        id: WatchId::default(),
        target: Target::everywhere(WatchedKind::GatewayTopology),
        client: client.clone(),
        updates: sender,
        decode: StoredTopology::decode,
        lasts: WATCH_SECONDS,
        liveness: Liveness::new(uncounted.last_contact(WatchedKind::GatewayTopology)),
        metrics: uncounted,
    };
    let reconciler = Reconciler {
        updates,
        topologies: Store::default(),
        mutating: Api::all_with(client.clone(), &WatchedKind::MutatingWebhookConfiguration.resource()),
        validating: Api::all_with(client.clone(), &WatchedKind::ValidatingWebhookConfiguration.resource()),
        writer: Writer::new(client.clone(), metrics.clone(), Events::new(client, metrics)),
        assessments: LastAssessments::new(inputs.assessments),
        configurations: inputs.configurations,
        trust_anchors: inputs.trust_anchors,
        calls: inputs.calls,
    };
    let mut watch = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(watch.run()));
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = &mut watch => Err(ended.map_or_else(Error::Broken, Error::WatchEnded)),
        never = reconciler.run() => match never {},
    }
}

struct Reconciler {
    updates: mpsc::Receiver<(WatchId, Update<StoredTopology>)>,
    topologies: Store<StoredTopology>,
    mutating: Api<DynamicObject>,
    validating: Api<DynamicObject>,
    writer: Writer,
    assessments: LastAssessments,
    configurations: watch::Receiver<WebhookConfigurations>,
    trust_anchors: watch::Receiver<Option<String>>,
    calls: watch::Receiver<Arc<Calls>>,
}

impl Reconciler {
    async fn run(mut self) -> Infallible {
        let mut wake = None;
        loop {
            let mut updates = Vec::new();
            tokio::select! {
                _ = self.updates.recv_many(&mut updates, WAITING_UPDATES) => {}
                () = next_value(&mut self.configurations) => {}
                () = next_value(&mut self.trust_anchors) => {}
                () = next_value(&mut self.calls) => {}
                () = self.assessments.next() => {}
                () = until(wake) => {}
            }
            for (_, update) in updates {
                self.topologies.apply(update);
            }
            wake = self.reconcile().await;
        }
    }

    /// Writes every verdict that is not stored yet. Returns the time of the next attempt if nothing changes.
    async fn reconcile(&mut self) -> Option<Instant> {
        let state = self.assessments.state(Instant::now());
        let topologies = self.topologies.known()?;
        let trust_anchors = self.trust_anchors.borrow().clone();
        let watched = self.configurations.borrow().clone();
        let calls = Arc::clone(&self.calls.borrow());
        let configurations = |mutating, validating| Configurations {
            name: watched.name.as_str(),
            mutating,
            validating,
            trust_anchors: trust_anchors.as_deref(),
            calls: &calls,
        };
        let known =
            |observed: Option<_>| observed.map(|observed: &ObservedConfiguration| &observed.configuration);
        let live = configurations(known(watched.mutating.known()?), known(watched.validating.known()?));
        if !were_tried(live) {
            return None;
        }
        let due = self.writer.due(&verdicts(topologies, live, &state), Instant::now());
        // An exception that ends changes what the status says.
        let becomes_unknown = [state.becomes_unknown(), next_end(topologies)].into_iter().flatten().min();
        match due {
            Due::Now => {}
            Due::At(time) => return Some(becomes_unknown.map_or(time, |unknown| unknown.min(time))),
            Due::Never => return becomes_unknown,
        }
        // The watches are independent. Another replica may have judged the same version of a topology by newer
        // configurations than are known here, and its verdict must not be overwritten by an older one.
        let read = async |api, kind| read(api, kind, &watched.name).await;
        let both = async {
            let mutating = read(&self.mutating, WatchedKind::MutatingWebhookConfiguration).await?;
            Ok((mutating, read(&self.validating, WatchedKind::ValidatingWebhookConfiguration).await?))
        };
        let (mutating, validating) = match both.await {
            Ok(both) => both,
            Err(error) => return self.writer.fail_to_read(&error),
        };
        let live = configurations(mutating.as_ref(), validating.as_ref());
        if !were_tried(live) {
            // The watches receive these configurations, too, and then their targets are tried.
            return None;
        }
        let wake = self.writer.write_due(&verdicts(topologies, live, &state)).await;
        [wake, becomes_unknown].into_iter().flatten().min()
    }
}

/// The time at which the next exception of a topology ends.
fn next_end(topologies: &BTreeMap<ObjectKey, StoredTopology>) -> Option<Instant> {
    let now = Timestamp::now();
    let exceptions = topologies.values().filter_map(|topology| topology.spec.as_ref().ok());
    let ends = exceptions
        .flat_map(|spec| &spec.exceptions)
        .filter_map(|exception| Some(exception.until.as_ref()?.0));
    let left = ends.filter(|end| *end > now).min()?.duration_since(now);
    Instant::now().checked_add(left.unsigned_abs())
}

/// Whether the calls of every webhook were tried.
fn were_tried(live: Configurations<'_>) -> bool {
    let webhooks = [live.mutating, live.validating].into_iter().flatten().flat_map(|it| &it.webhooks);
    webhooks.filter_map(CallTarget::of).all(|target| live.calls.contains_key(&target))
}

/// Reads the current webhook configuration; `None` if it does not exist.
async fn read(
    api: &Api<DynamicObject>,
    kind: WatchedKind,
    name: &str,
) -> kube::Result<Option<Configuration>> {
    let object = api.get_opt(name).await?;
    Ok(object.map(|object| ObservedConfiguration::decode(kind, ReceivedObject::from(object)).configuration))
}
