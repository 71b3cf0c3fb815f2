//! The running watches: started and stopped so that they are the wanted ones.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use super::contact::Contact;
use super::follow::{WATCH_SECONDS, Watch};
use super::holdings::Holdings;
use super::item::Item;
use super::listing::Report;
use super::target::{Target, WatchId};
use super::{Error, WatchMetrics, Watched};

/// The running watches.
pub(super) struct Watches {
    client: Client,
    reports: mpsc::Sender<(WatchId, Report)>,
    metrics: WatchMetrics,
    stale_after: Duration,
    running: BTreeMap<Target, Running>,
    tasks: JoinSet<Watched>,
    last: WatchId,
}

/// A watch at work.
struct Running {
    id: WatchId,
    task: AbortHandle,
    contact: Contact,
}

impl Watches {
    /// No watch yet. What one told is used for at most `stale_after` without a word from the API server.
    pub(super) fn new(
        client: Client,
        reports: mpsc::Sender<(WatchId, Report)>,
        metrics: WatchMetrics,
        stale_after: Duration,
    ) -> Self {
        Self {
            client,
            reports,
            metrics,
            stale_after,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            last: WatchId::default(),
        }
    }

    /// Starts what `holdings` want and lack, and stops what they no longer want.
    pub(super) fn follow(&mut self, holdings: &mut Holdings) {
        let wanted = holdings.wanted();
        self.running.retain(|target, Running { id, task, contact: _ }| {
            let stays = wanted.contains(target);
            if !stays {
                info!(kind = ?target.kind, namespace = target.namespace, "a watch stops: no topology needs it");
                task.abort();
                holdings.close(*id);
            }
            stays
        });
        for target in wanted {
            if !self.running.contains_key(&target) {
                info!(kind = ?target.kind, namespace = target.namespace, "a watch starts");
                let id = self.start(target.clone(), Contact::new());
                holdings.open(id, target);
            }
        }
    }

    /// Starts every watch over that nothing was heard of for too long, and says whether there was one. What such
    /// a watch told is unknown until it has listed anew: it may have missed anything.
    pub(super) fn restart_silent(&mut self, holdings: &mut Holdings) -> bool {
        // Looked at every so often: what would be too old by the next time is too old now.
        let limit = self.stale_after.saturating_sub(super::LOOK_EVERY);
        let is_stale = |running: &Running| running.contact.age() >= limit && holdings.is_known(running.id);
        let silent: Vec<Target> = self
            .running
            .iter()
            .filter(|(_, running)| is_stale(running))
            .map(|(target, _)| target.clone())
            .collect();
        for target in &silent {
            if let Some(Running { id, task, contact }) = self.running.remove(target) {
                warn!(
                    kind = ?target.kind,
                    namespace = target.namespace,
                    age = ?contact.age(),
                    "nothing was heard of the watch for too long; what it told is not used, and it starts over"
                );
                task.abort();
                let next = self.start(target.clone(), contact);
                holdings.reopen(id, next);
            }
        }
        !silent.is_empty()
    }

    /// How long ago the watch was heard of that has been silent for longest.
    pub(super) fn age(&self) -> Duration {
        self.running.values().map(|running| running.contact.age()).max().unwrap_or_default()
    }

    fn start(&mut self, target: Target, contact: Contact) -> WatchId {
        self.last = WatchId(self.last.0.wrapping_add(1));
        let watch = Watch {
            id: self.last,
            target: target.clone(),
            client: self.client.clone(),
            reports: self.reports.clone(),
            read: Item::read,
            lasts: self.watch_seconds(),
            contact: contact.clone(),
            metrics: self.metrics.clone(),
        };
        let task = self.tasks.spawn(watch.follow());
        self.running.insert(target, Running { id: self.last, task, contact });
        self.last
    }

    /// Half of what a watch may be silent for, so that a healthy one never is for too long.
    fn watch_seconds(&self) -> u32 {
        let half = u32::try_from(self.stale_after.as_secs() / 2).unwrap_or(WATCH_SECONDS);
        half.clamp(1, WATCH_SECONDS)
    }

    /// Returns when a watch is dead that was not stopped.
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

    /// Stops every watch and waits until all have ended.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Response;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    fn watches() -> Watches {
        let unused = service_fn(async |_| Ok::<_, kube::Error>(Response::new(Body::empty())));
        let (reports, _) = mpsc::channel(1);
        Watches::new(
            Client::new(unused, "default"),
            reports,
            WatchMetrics::default(),
            Duration::from_secs(120),
        )
    }

    #[tokio::test]
    async fn a_watch_that_is_silent_for_too_long_starts_over_and_what_it_told_is_unknown() {
        let (mut watches, mut holdings) = (watches(), Holdings::default());
        watches.follow(&mut holdings);
        let first: Vec<WatchId> = watches.running.values().map(|running| running.id).collect();
        for id in &first {
            holdings.apply(*id, Report::Listed(BTreeMap::new()));
        }
        assert!(!watches.restart_silent(&mut holdings));
        assert!(holdings.inventory().is_some());

        watches.stale_after = Duration::ZERO;
        assert!(watches.restart_silent(&mut holdings));
        assert!(holdings.inventory().is_none());
        for id in &first {
            assert!(!holdings.apply(*id, Report::Listed(BTreeMap::new())), "a late report of the old watch");
        }
        assert!(
            !watches.restart_silent(&mut holdings),
            "one that has not listed yet has nothing to be stale"
        );

        for running in watches.running.values() {
            assert!(holdings.apply(running.id, Report::Listed(BTreeMap::new())));
        }
        assert!(holdings.inventory().is_some());
    }

    #[tokio::test]
    async fn a_healthy_watch_is_heard_of_twice_before_it_would_be_silent_for_too_long() {
        let mut watches = watches();
        assert_eq!(watches.watch_seconds(), 60);
        for (seconds, lasts) in [(10, 5), (1, 1), (100_000, 60)] {
            watches.stale_after = Duration::from_secs(seconds);
            assert_eq!(watches.watch_seconds(), lasts);
        }
    }

    #[tokio::test]
    async fn a_task_that_returns_is_a_dead_watch() {
        let mut watches = watches();
        watches.tasks.spawn(async { Watched::Node });
        assert!(matches!(watches.ended().await, Error::WatchEnded(Watched::Node)));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_a_dead_watch() {
        let mut watches = watches();
        watches.tasks.spawn(async { panic!("a bug") });
        assert!(matches!(watches.ended().await, Error::Broken(_)));
    }

    #[tokio::test]
    async fn a_task_that_was_stopped_is_none() {
        let mut watches = watches();
        watches.tasks.spawn(std::future::pending()).abort();
        let ended = tokio::time::timeout(std::time::Duration::from_millis(50), watches.ended());
        assert!(ended.await.is_err());
    }
}
