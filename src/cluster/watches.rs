//! The running watches: started and stopped so that they are the wanted ones.

use std::collections::BTreeMap;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::info;

use super::follow::Watch;
use super::holdings::Holdings;
use super::item::Item;
use super::listing::Report;
use super::target::{Target, WatchId};
use super::{Error, Metrics, Watched};

/// The running watches.
pub(super) struct Watches {
    client: Client,
    reports: mpsc::Sender<(WatchId, Report)>,
    metrics: Metrics,
    running: BTreeMap<Target, (WatchId, AbortHandle)>,
    tasks: JoinSet<Watched>,
    last: WatchId,
}

impl Watches {
    /// No watch yet.
    pub(super) fn new(client: Client, reports: mpsc::Sender<(WatchId, Report)>, metrics: Metrics) -> Self {
        Self {
            client,
            reports,
            metrics,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            last: WatchId::default(),
        }
    }

    /// Starts what `holdings` want and lack, and stops what they no longer want.
    pub(super) fn follow(&mut self, holdings: &mut Holdings) {
        let wanted = holdings.wanted();
        self.running.retain(|target, (watch, task)| {
            let stays = wanted.contains(target);
            if !stays {
                info!(kind = ?target.kind, namespace = target.namespace, "a watch stops: no topology needs it");
                task.abort();
                holdings.close(*watch);
            }
            stays
        });
        for target in wanted {
            if !self.running.contains_key(&target) {
                info!(kind = ?target.kind, namespace = target.namespace, "a watch starts");
                let started = self.start(target.clone());
                holdings.open(started.0, target.clone());
                self.running.insert(target, started);
            }
        }
    }

    fn start(&mut self, target: Target) -> (WatchId, AbortHandle) {
        self.last = WatchId(self.last.0.wrapping_add(1));
        let watch = Watch {
            id: self.last,
            target,
            client: self.client.clone(),
            reports: self.reports.clone(),
            read: Item::read,
            metrics: self.metrics.clone(),
        };
        (self.last, self.tasks.spawn(watch.follow()))
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
        Watches::new(Client::new(unused, "default"), reports, Metrics::default())
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
