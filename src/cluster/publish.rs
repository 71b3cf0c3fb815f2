//! From what is held to a published snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{debug, info};

use super::holdings::Holdings;
use super::{Error, WatchMetrics, Watched};
use crate::snapshot::{Declared, Inventory, Publication, Snapshot};
use crate::topology::Gateway;

/// Builds snapshots and hands them to the readers.
pub(super) struct Publisher {
    readers: watch::Sender<Option<Arc<Snapshot>>>,
    metrics: WatchMetrics,
    /// The number of the snapshot before.
    number: AtomicU64,
}

impl Publisher {
    pub(super) const fn new(readers: watch::Sender<Option<Arc<Snapshot>>>, metrics: WatchMetrics) -> Self {
        Self { readers, metrics, number: AtomicU64::new(0) }
    }

    /// Publishes a snapshot of `holdings`, and returns them with what it took; without, if too little is known.
    ///
    /// They move to a thread of their own and back, which costs nothing and keeps requests going: a large
    /// cluster's snapshot takes tens of milliseconds to build, and the one before takes some to free.
    pub(super) async fn publish(&self, holdings: Holdings) -> Result<(Holdings, Option<Duration>), Error> {
        self.count_objects(&holdings);
        let readers = self.readers.clone();
        let number = self.number.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let build = move || {
            let start = Instant::now();
            let inventory = holdings.inventory();
            let facts = inventory.as_ref().map(Snapshot::new);
            let published = |facts: Snapshot| facts.published(Publication { number, time: Timestamp::now() });
            let facts = facts.map(published).map(Arc::new);
            let was_known = readers.send_replace(facts).is_some();
            (holdings, inventory.as_ref().map(enforced), was_known, start.elapsed())
        };
        let (holdings, enforced, was_known, cost) = spawn_blocking(build).await.map_err(Error::Broken)?;
        self.metrics.set_enforced(enforced.unwrap_or_default());
        if enforced.is_some() != was_known {
            info!(is_known = !was_known, "whether nodes and topologies are known has changed");
        }
        let cost = enforced.is_some().then_some(cost);
        if let Some(cost) = cost {
            self.metrics.count_snapshot(cost);
            debug!(?cost, enforced, "a snapshot is published");
        }
        Ok((holdings, cost))
    }

    /// Takes back what is published: nobody would keep it up to date.
    pub(super) fn withdraw(&self) {
        self.readers.send_replace(None);
    }

    fn count_objects(&self, holdings: &Holdings) {
        for kind in Watched::FOR_FACTS {
            let (all, unusable) = holdings.count(kind);
            self.metrics.set_objects(kind, all, unusable);
        }
    }
}

/// The topologies of which everything is known. Where MetalLB is missing, what is known is that.
fn enforced(inventory: &Inventory) -> usize {
    let is_known = |declared: &&Declared| {
        let Gateway { namespace: gateway, .. } = &declared.spec.gateway;
        [gateway, &declared.spec.metallb_namespace]
            .iter()
            .all(|namespace| !inventory.pending.contains(*namespace))
    };
    inventory.topologies.values().filter(is_known).count()
}
