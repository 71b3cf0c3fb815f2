//! Publication: snapshots are built from the stores and passed to their readers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use super::assessor::StateSender;
use super::kinds::WatchedKind;
use super::store::{Effect, Stores};
use super::{Error, WatchMetrics};
use crate::snapshot::{Declared, Inventory, KnownState, Publication, Snapshot};
use crate::topology::Gateway;

/// Builds snapshots and publishes them.
pub(super) struct Publisher {
    readers: watch::Sender<Option<Arc<Snapshot>>>,
    /// The assessor, to which the state of each snapshot is passed on; `None` without one.
    assessor: Option<StateSender>,
    metrics: WatchMetrics,
    /// The number of the previous snapshot.
    number: AtomicU64,
}

impl Publisher {
    pub(super) const fn new(
        readers: watch::Sender<Option<Arc<Snapshot>>>,
        assessor: Option<StateSender>,
        metrics: WatchMetrics,
    ) -> Self {
        Self { readers, assessor, metrics, number: AtomicU64::new(0) }
    }

    /// Publishes a snapshot of `stores`, or passes the state on to the assessor only, if nothing changed that rules read.
    /// Returns the stores and the time that it took, which is `None` if too little is known for a snapshot; then `None` is
    /// published.
    ///
    /// The stores move to a blocking thread and back, so that requests are answered meanwhile: for a large cluster,
    /// building takes tens of milliseconds, and freeing the previous snapshot takes some.
    pub(super) async fn publish(
        &self,
        mut stores: Stores,
        effect: Effect,
    ) -> Result<(Stores, Option<Duration>), Error> {
        self.count_objects(&stores);
        if !effect.on_rules {
            let metallb_kinds = self.metallb_kinds();
            let state = stores.whole_state().map(|inventory| KnownState { inventory, metallb_kinds });
            // Nothing changed that wakes a reader: reviews take the newest snapshot each time.
            self.readers.send_if_modified(|held| {
                if let Some(snapshot) = held {
                    *held = Some(Arc::new(Snapshot::clone(snapshot).with_state(state)));
                }
                false
            });
            let current = self.readers.borrow().clone();
            self.pass_on(&mut stores, current);
            // The pause matters: while the assessor works, the next change copies the inventory.
            return Ok((stores, Some(Duration::ZERO)));
        }
        let readers = self.readers.clone();
        let number = self.number.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let metallb_kinds = self.metallb_kinds();
        let build = move || {
            let start = Instant::now();
            let inventory = stores.inventory();
            let state = stores.whole_state().map(|inventory| KnownState { inventory, metallb_kinds });
            let snapshot = inventory.as_deref().map(Snapshot::new);
            let publication = Publication { number, time: Timestamp::now() };
            let publish = |snapshot: Snapshot| Arc::new(snapshot.published(publication).with_state(state));
            let snapshot = snapshot.map(publish);
            let was_known = readers.send_replace(snapshot).is_some();
            (stores, inventory.as_deref().map(enforced), was_known, start.elapsed())
        };
        let (mut stores, enforced, was_known, cost) = spawn_blocking(build).await.map_err(Error::Broken)?;
        let current = self.readers.borrow().clone();
        self.pass_on(&mut stores, current);
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

    /// The kinds from which MetalLB's version may follow.
    fn metallb_kinds(&self) -> Arc<BTreeSet<String>> {
        self.assessor.as_ref().map(StateSender::metallb_kinds).unwrap_or_default()
    }

    fn pass_on(&self, stores: &mut Stores, snapshot: Option<Arc<Snapshot>>) {
        let Some(assessor) = &self.assessor else { return };
        match snapshot {
            None => assessor.send(None),
            Some(snapshot) => {
                if let Some((inventory, changes)) = stores.settled() {
                    assessor.send(Some((inventory, snapshot, changes)));
                }
            }
        }
    }

    /// Withdraws the snapshot, because it is no longer kept current.
    pub(super) fn withdraw(&self) {
        self.readers.send_replace(None);
        if let Some(assessor) = &self.assessor {
            assessor.send(None);
        }
    }

    fn count_objects(&self, stores: &Stores) {
        for kind in WatchedKind::of_inventory() {
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
