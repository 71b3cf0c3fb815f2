//! Publication: snapshots are built from the stores and passed to their readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use super::kinds::WatchedKind;
use super::store::Stores;
use super::{Error, WatchMetrics};
use crate::snapshot::{Declared, Inventory, Publication, Snapshot};
use crate::topology::Gateway;

/// Builds snapshots and publishes them.
pub(super) struct Publisher {
    readers: watch::Sender<Option<Arc<Snapshot>>>,
    metrics: WatchMetrics,
    /// The number of the previous snapshot.
    number: AtomicU64,
}

impl Publisher {
    pub(super) const fn new(readers: watch::Sender<Option<Arc<Snapshot>>>, metrics: WatchMetrics) -> Self {
        Self { readers, metrics, number: AtomicU64::new(0) }
    }

    /// Publishes a snapshot of `stores`. Returns the stores and the time for building it, which is `None` if too
    /// little is known for a snapshot; then `None` is published.
    ///
    /// The stores move to a blocking thread and back, so that requests are answered meanwhile: for a large cluster,
    /// building takes tens of milliseconds, and freeing the previous snapshot takes some.
    pub(super) async fn publish(&self, stores: Stores) -> Result<(Stores, Option<Duration>), Error> {
        self.count_objects(&stores);
        let readers = self.readers.clone();
        let number = self.number.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let build = move || {
            let start = Instant::now();
            let inventory = stores.inventory();
            let snapshot = inventory.as_ref().map(Snapshot::new);
            let publication = Publication { number, time: Timestamp::now() };
            let snapshot = snapshot.map(|snapshot| Arc::new(snapshot.published(publication)));
            let was_known = readers.send_replace(snapshot).is_some();
            (stores, inventory.as_ref().map(enforced), was_known, start.elapsed())
        };
        let (stores, enforced, was_known, cost) = spawn_blocking(build).await.map_err(Error::Broken)?;
        self.metrics.set_enforced(enforced.unwrap_or_default());
        if enforced.is_some() != was_known {
            if was_known {
                warn!("snapshot withdrawn: nodes or topologies are unknown");
            } else {
                info!("snapshot published: nodes and topologies are known");
            }
        }
        let cost = enforced.is_some().then_some(cost);
        if let Some(cost) = cost {
            self.metrics.count_snapshot(cost);
            debug!(?cost, enforced, "published a snapshot");
        }
        Ok((stores, cost))
    }

    /// Withdraws the snapshot, because it is no longer kept current.
    pub(super) fn withdraw(&self) {
        self.readers.send_replace(None);
    }

    fn count_objects(&self, stores: &Stores) {
        for kind in WatchedKind::of_snapshot() {
            let (all, unusable) = stores.count(kind);
            self.metrics.set_objects(kind, all, unusable);
        }
    }
}

/// The number of topologies whose dependencies are all known. It is known, too, that MetalLB is not installed.
fn enforced(inventory: &Inventory) -> usize {
    let is_known = |declared: &&Declared| {
        let Gateway { namespace: gateway, .. } = &declared.spec.gateway;
        [gateway, &declared.spec.metallb_namespace]
            .iter()
            .all(|namespace| !inventory.pending.contains(*namespace))
    };
    inventory.topologies.values().filter(is_known).count()
}
