//! The supervisor starts, stops and replaces the watch loops of a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use super::kinds::{Target, WatchedKind};
use super::liveness::Liveness;
use super::store::{Effect, Stores, Update, WatchId};
use super::watch_loop::{WATCH_SECONDS, WatchLoop};
use super::{CHECK_EVERY, Error, WatchMetrics};

/// The running watch loops.
pub(super) struct Supervisor {
    client: Client,
    updates: mpsc::Sender<(WatchId, Update)>,
    metrics: WatchMetrics,
    stale_after: Duration,
    running: BTreeMap<Target, Running>,
    tasks: JoinSet<WatchedKind>,
    last: WatchId,
}

struct Running {
    id: WatchId,
    task: AbortHandle,
    liveness: Liveness,
}

impl Supervisor {
    /// Creates a supervisor without watches. A watch is stale if it was not confirmed for `stale_after`.
    pub(super) fn new(
        client: Client,
        updates: mpsc::Sender<(WatchId, Update)>,
        metrics: WatchMetrics,
        stale_after: Duration,
    ) -> Self {
        Self {
            client,
            updates,
            metrics,
            stale_after,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            last: WatchId::default(),
        }
    }

    /// Starts the watches that `stores` want and lack, and stops those that they no longer want.
    pub(super) fn follow(&mut self, stores: &mut Stores) {
        let wanted = stores.wanted();
        self.running.retain(|target, Running { id, task, liveness: _ }| {
            let stays = wanted.contains(target);
            if !stays {
                info!(kind = ?target.kind, namespace = target.namespace, "stopping a watch that no topology needs");
                task.abort();
                stores.close(*id);
            }
            stays
        });
        for target in wanted {
            if !self.running.contains_key(&target) {
                info!(kind = ?target.kind, namespace = target.namespace, "starting a watch");
                let liveness = Liveness::new(self.metrics.last_contact(target.kind));
                let id = self.start(target.clone(), liveness);
                stores.open(id, target);
            }
        }
    }

    /// Replaces every stale watch. Returns what that changed. Its objects count as unknown until the new watch has
    /// received a list, because the old one may have missed any change.
    pub(super) fn replace_stale(&mut self, stores: &mut Stores) -> Effect {
        // A watch that would be stale by the next check counts as stale now.
        let limit = self.stale_after.saturating_sub(CHECK_EVERY);
        let is_stale = |running: &Running| running.liveness.age() >= limit && stores.is_known(running.id);
        let stale: Vec<Target> = self
            .running
            .iter()
            .filter(|(_, running)| is_stale(running))
            .map(|(target, _)| target.clone())
            .collect();
        let mut effect = Effect::default();
        for target in &stale {
            effect.merge(Effect::of(target.kind));
            if let Some(Running { id, task, liveness }) = self.running.remove(target) {
                warn!(
                    kind = ?target.kind,
                    namespace = target.namespace,
                    age = ?liveness.age(),
                    "watch is stale: discarding its objects and listing again"
                );
                task.abort();
                let next = self.start(target.clone(), liveness);
                stores.reopen(id, next);
            }
        }
        effect
    }

    /// The longest time since the last confirmation of a watch.
    pub(super) fn age(&self) -> Duration {
        self.running.values().map(|running| running.liveness.age()).max().unwrap_or_default()
    }

    fn start(&mut self, target: Target, liveness: Liveness) -> WatchId {
        self.last = WatchId(self.last.0.wrapping_add(1));
        let watch = WatchLoop {
            id: self.last,
            target: target.clone(),
            client: self.client.clone(),
            updates: self.updates.clone(),
            decode: WatchedKind::decode,
            lasts: self.watch_seconds(),
            liveness: liveness.clone(),
            metrics: self.metrics.clone(),
        };
        let task = self.tasks.spawn(watch.run());
        self.running.insert(target, Running { id: self.last, task, liveness });
        self.last
    }

    /// The duration of one watch request: half of the time after which a watch is stale. A healthy watch is confirmed
    /// at its end at the latest, so it is never stale.
    fn watch_seconds(&self) -> u32 {
        let half = u32::try_from(self.stale_after.as_secs() / 2).unwrap_or(WATCH_SECONDS);
        half.clamp(1, WATCH_SECONDS)
    }

    /// Waits until a watch ends without having been stopped.
    pub(super) async fn ended(&mut self) -> Error {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => return Error::Broken(error),
                Some(Ok(kind)) => return Error::WatchEnded(kind),
                // Nodes and topologies are always watched.
                None => std::future::pending().await,
            }
        }
    }

    /// Stops every watch, and waits until all of them have ended.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::Response;
    use kube::client::Body;
    use tower::service_fn;

    use super::super::MIN_STALE_AFTER;
    use super::super::decode::Item;
    use super::*;
    use crate::snapshot::{Declared, ObjectKey};
    use crate::topology::GatewayTopologySpec;

    fn supervisor(stale_after: Duration) -> Supervisor {
        let unused = service_fn(async |_| Ok::<_, kube::Error>(Response::new(Body::empty())));
        let (updates, _) = mpsc::channel(1);
        Supervisor::new(Client::new(unused, "default"), updates, WatchMetrics::default(), stale_after)
    }

    fn listed() -> Update {
        Update::Listed(BTreeMap::new())
    }

    #[tokio::test]
    async fn a_stale_watch_is_replaced_and_its_objects_are_unknown() {
        let mut supervisor = supervisor(Duration::from_secs(120));
        let mut stores = Stores::default();
        supervisor.follow(&mut stores);
        let first: Vec<WatchId> = supervisor.running.values().map(|running| running.id).collect();
        for id in &first {
            stores.apply(*id, listed());
        }
        assert_eq!(supervisor.replace_stale(&mut stores), Effect::default());
        assert!(stores.inventory().is_some());

        supervisor.stale_after = Duration::ZERO;
        assert!(supervisor.replace_stale(&mut stores).on_rules);
        assert!(stores.inventory().is_none());
        for id in &first {
            assert_eq!(stores.apply(*id, listed()), Effect::default(), "a late update of the old watch");
        }
        assert_eq!(
            supervisor.replace_stale(&mut stores),
            Effect::default(),
            "a watch that has not listed yet has nothing to be stale"
        );

        for running in supervisor.running.values() {
            assert!(stores.apply(running.id, listed()).on_assessments);
        }
        assert!(stores.inventory().is_some());
    }

    #[tokio::test]
    async fn a_healthy_watch_is_confirmed_before_it_is_stale() {
        for (seconds, lasts) in [(120, 60), (10, 5), (100_000, 60)] {
            assert_eq!(supervisor(Duration::from_secs(seconds)).watch_seconds(), lasts);
        }
        let least = supervisor(MIN_STALE_AFTER).watch_seconds();
        let spare = Duration::from_secs(least.into()) + CHECK_EVERY + Duration::from_secs(2);
        assert!(spare < MIN_STALE_AFTER);
    }

    /// Two hundred topologies in namespaces of their own have more than two thousand watches.
    #[tokio::test(start_paused = true)]
    async fn many_watches_do_not_flood_an_api_server_that_fails() {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let failing = service_fn(move |_: axum::http::Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Err::<Response<Body>, _>(io::Error::from(io::ErrorKind::ConnectionRefused)) }
        });
        let (updates, mut received) = mpsc::channel(1);
        let client = Client::new(failing, "default");
        let mut supervisor =
            Supervisor::new(client, updates, WatchMetrics::default(), Duration::from_secs(120));
        let mut stores = Stores::default();
        supervisor.follow(&mut stores);
        let topologies = (0..200).map(|index| {
            let mut spec = GatewayTopologySpec::default();
            spec.gateway.namespace = format!("gateways-{index}");
            spec.metallb_namespace = format!("metallb-{index}");
            let key = ObjectKey { namespace: String::new(), name: format!("topology-{index}") };
            (key, Item::Topology(Box::new(Declared { generation: 1, created: None, spec }), Vec::new()))
        });
        let target = Target::everywhere(WatchedKind::GatewayTopology);
        stores.apply(supervisor.running[&target].id, Update::Listed(topologies.collect()));
        supervisor.follow(&mut stores);
        tokio::spawn(async move { while received.recv().await.is_some() {} });

        tokio::time::sleep(Duration::from_secs(120)).await;
        let before = attempts.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let (watches, attempts) = (supervisor.running.len(), attempts.load(Ordering::Relaxed) - before);
        assert!(watches > 2_000, "{watches}");
        assert!(attempts > watches * 600 / 40, "{attempts} attempts of {watches} watches");
        assert!(attempts <= watches * 600 / 30 + watches, "{attempts} attempts of {watches} watches");
    }

    #[tokio::test]
    async fn a_task_that_returns_is_a_dead_watch() {
        let mut supervisor = supervisor(MIN_STALE_AFTER);
        supervisor.tasks.spawn(async { WatchedKind::Node });
        assert!(matches!(supervisor.ended().await, Error::WatchEnded(WatchedKind::Node)));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_a_dead_watch() {
        let mut supervisor = supervisor(MIN_STALE_AFTER);
        supervisor.tasks.spawn(async { panic!("a bug") });
        assert!(matches!(supervisor.ended().await, Error::Broken(_)));
    }

    #[tokio::test]
    async fn a_stopped_task_is_not_a_dead_watch() {
        let mut supervisor = supervisor(MIN_STALE_AFTER);
        supervisor.tasks.spawn(std::future::pending()).abort();
        let ended = tokio::time::timeout(Duration::from_millis(50), supervisor.ended());
        assert!(ended.await.is_err());
    }
}
