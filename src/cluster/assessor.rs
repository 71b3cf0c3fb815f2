//! The assessor: it keeps the assessments of all topologies current, on a thread of its own.
//!
//! Each state that is published for reviews is passed on to it, with what has changed since the last one. States that arrive
//! while it works are merged into one, so that it is never more than one assessment behind, and reviews never wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use rustix::process::nice;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::state::metallb_kinds;
use super::{Error, WatchMetrics};
use crate::assessment::{Changes, CurrentAssessments, TopologyAssessment};
use crate::election::AssumedVersion;
use crate::snapshot::{Inventory, ResolvedTopology, Snapshot};

/// The interval at which the kinds that the cluster serves are read again: MetalLB may be installed or upgraded meanwhile.
const KINDS_EVERY: Duration = Duration::from_secs(60);

/// The time after which an API server that does not say which kinds it serves is not waited for.
const KINDS_WITHIN: Duration = Duration::from_secs(5);

/// The assessments of one state.
#[derive(Debug, Clone)]
pub struct Assessments {
    /// The assessments by the names of topologies, each with the generation that was assessed.
    pub topologies: BTreeMap<Arc<str>, (i64, Arc<TopologyAssessment>)>,
}

/// The newest assessments; `None` while the state is not known.
pub type AssessmentsReceiver = watch::Receiver<Option<Arc<Assessments>>>;

/// A state and what has changed since the last one; `None` while the state is not known.
type State = Option<(Arc<Inventory>, Arc<Snapshot>, Changes)>;

/// The states that were not assessed yet, merged into one, and the kinds that assessments and reviews detect MetalLB's version by.
#[derive(Debug, Default)]
struct Waiting {
    merged: Mutex<Merged>,
    arrived: Notify,
    /// The plurals of MetalLB's kinds that the cluster serves, as read last.
    kinds: Mutex<Arc<BTreeSet<String>>>,
}

#[derive(Debug, Default)]
struct Merged {
    /// The newest state; `None` if it was taken.
    state: Option<Option<(Arc<Inventory>, Arc<Snapshot>)>>,
    /// The changes since the last state that was taken.
    changes: Changes,
}

/// The side that passes states on.
#[derive(Debug, Clone)]
pub struct StateSender(Arc<Waiting>);

impl StateSender {
    /// Passes a state on.
    pub(super) fn send(&self, state: State) {
        let mut merged = self.0.merged.lock().unwrap_or_else(PoisonError::into_inner);
        // What was known before a gap says nothing about what has changed in it.
        let (known, changes) = match state {
            Some((inventory, snapshot, changes)) => (Some((inventory, snapshot)), changes),
            None => (None, Changes::everything()),
        };
        merged.changes.merge(changes);
        merged.state = Some(known);
        drop(merged);
        self.0.arrived.notify_one();
    }

    /// The plurals of MetalLB's kinds that the cluster serves; empty until they were read.
    pub(super) fn metallb_kinds(&self) -> Arc<BTreeSet<String>> {
        self.0.kinds()
    }
}

impl Waiting {
    fn kinds(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.kinds.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the newest state, with everything that has changed since the last one that was taken; `None` if there is none.
    fn take(&self) -> Option<State> {
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        let state = merged.state.take()?;
        let known =
            state.map(|(inventory, snapshot)| (inventory, snapshot, std::mem::take(&mut merged.changes)));
        Some(known)
    }
}

/// Returns where states are passed on, the newest assessments, and the future that keeps them current.
///
/// The future ends only with [`Error::Broken`]. An API server that does not answer is no error: MetalLB's version is then
/// detected without the kinds that it serves.
pub fn assessor(
    client: Client,
    metrics: WatchMetrics,
) -> (StateSender, AssessmentsReceiver, impl Future<Output = Error> + Send + 'static) {
    let waiting = Arc::new(Waiting::default());
    let (publish, receiver) = watch::channel(None);
    (StateSender(Arc::clone(&waiting)), receiver, keep_current(client, metrics, waiting, publish))
}

async fn keep_current(
    client: Client,
    metrics: WatchMetrics,
    waiting: Arc<Waiting>,
    publish: watch::Sender<Option<Arc<Assessments>>>,
) -> Error {
    // One signal suffices: the thread takes everything that waits.
    let (signal, signals) = sync_channel(1);
    let mut worker =
        Worker { waiting: Arc::clone(&waiting), current: CurrentAssessments::default(), metrics, publish };
    let mut thread = spawn_blocking(move || {
        lower_priority();
        while signals.recv().is_ok() {
            worker.assess();
        }
    });
    let mut kinds_due = interval(KINDS_EVERY);
    kinds_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The kinds come first, because MetalLB's version may follow from them.
            biased;
            Err(error) = &mut thread => return Error::Broken(error),
            _ = kinds_due.tick() => {
                if let Ok(Ok(Some(served))) = timeout(KINDS_WITHIN, metallb_kinds(&client)).await {
                    *waiting.kinds.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
                }
            }
            () = waiting.arrived.notified() => {
                let _ = signal.try_send(());
            }
        }
    }
}

/// Lowers the priority of this thread, so that reviews do not wait for it on a busy machine. It still gets a tenth of a core.
fn lower_priority() {
    if let Err(error) = nice(10) {
        debug!(%error, "assessments have the priority of reviews");
    }
}

/// The state of the assessor's thread.
struct Worker {
    waiting: Arc<Waiting>,
    current: CurrentAssessments,
    metrics: WatchMetrics,
    publish: watch::Sender<Option<Arc<Assessments>>>,
}

impl Worker {
    /// Assesses what the changes of the states that wait concern, and publishes the assessments.
    fn assess(&mut self) {
        let Some(state) = self.waiting.take() else { return };
        let Some((inventory, snapshot, changes)) = state else {
            self.current = CurrentAssessments::default();
            self.publish.send_replace(None);
            return;
        };
        let start = Instant::now();
        let kinds = self.waiting.kinds();
        let version = AssumedVersion::detect(&inventory, |kind| kinds.contains(kind)).version;
        let assessed = self.current.update(&inventory, &snapshot, version, &changes);
        let of = |topology: &ResolvedTopology| {
            let held = self.current.topologies().get(&topology.name)?;
            Some((Arc::clone(&topology.name), (topology.generation, Arc::clone(held))))
        };
        let assessments =
            Arc::new(Assessments { topologies: snapshot.topologies().iter().filter_map(of).collect() });
        let cost = start.elapsed();
        self.metrics.count_assessment(cost);
        debug!(?cost, assessed = assessed.len(), "assessed topologies");
        self.publish.send_if_modified(|held| {
            let names =
                |assessments: &Assessments| assessments.topologies.keys().cloned().collect::<Vec<_>>();
            let is_same = assessed.is_empty() && held.as_deref().map(names) == Some(names(&assessments));
            *held = Some(assessments);
            !is_same
        });
    }
}

#[cfg(test)]
mod tests;
