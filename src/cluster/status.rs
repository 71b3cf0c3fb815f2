//! The status of topologies: whether the live webhook configurations cover them.
//!
//! Every replica watches the same objects, comes to the same verdict, and writes it where it is not there yet.
//! A write names the version of the topology that it is about. So of several replicas one is first, and the
//! others find nothing left to do.

mod decide;
mod live;
mod pace;
mod trouble;
mod write;

use std::convert::Infallible;
use std::future::pending;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::follow::Watch;
use super::item::Raw;
use super::listing::Report;
use super::target::{Target, WatchId};
use super::{Error, Metrics, Watched};
use crate::facts::ObjectKey;
use crate::guard::Configuration;
use live::{Live, MUTATING, TOPOLOGIES, Topology, VALIDATING};
use write::Writer;

/// Reports that wait while status is written.
const WAITING_REPORTS: usize = 64;

/// What topologies are compared with.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The name that the two webhook configurations share.
    pub configuration: String,
    /// The certificates, as PEM, that a client must trust to call this replica, such as the authority that signed
    /// what it serves. `None` where that is not known, so that any `caBundle` will do.
    pub relied_on: watch::Receiver<Option<String>>,
}

/// Keeps the condition `Guarded` of all topologies, until `shutdown`.
///
/// # Errors
/// [`Error::WatchEnded`] and [`Error::Broken`]. An API server that cannot be reached or that refuses is no
/// error: it is logged, counted and tried again.
pub async fn guard(
    client: Client,
    guard: Guard,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let mut watches = Watches { client: client.clone(), metrics: metrics.clone(), tasks: JoinSet::new() };
    let everything = Target::everywhere(Watched::GatewayTopology);
    let one = |kind| Target::one(kind, &guard.configuration);
    let (to_topologies, topologies) = mpsc::channel(WAITING_REPORTS);
    let (to_configurations, configurations) = mpsc::channel(WAITING_REPORTS);
    watches.start(TOPOLOGIES, everything, &to_topologies, Topology::read);
    watches.start(
        MUTATING,
        one(Watched::MutatingWebhookConfiguration),
        &to_configurations,
        live::configuration,
    );
    watches.start(
        VALIDATING,
        one(Watched::ValidatingWebhookConfiguration),
        &to_configurations,
        live::configuration,
    );
    let keeper = Keeper {
        topologies,
        configurations,
        live: Live::default(),
        writer: Writer::new(client, metrics),
        guard,
    };
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        error = watches.ended() => Err(error),
        never = keeper.keep() => match never {},
    };
    watches.tasks.shutdown().await;
    outcome
}

struct Watches {
    client: Client,
    metrics: Metrics,
    tasks: JoinSet<Watched>,
}

impl Watches {
    fn start<T: Send + 'static>(
        &mut self,
        id: WatchId,
        target: Target,
        reports: &mpsc::Sender<(WatchId, Report<T>)>,
        read: fn(Watched, Raw) -> (ObjectKey, T),
    ) {
        let (client, metrics) = (self.client.clone(), self.metrics.clone());
        self.tasks.spawn(Watch { id, target, client, reports: reports.clone(), read, metrics }.follow());
    }

    async fn ended(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok(kind)) => Error::WatchEnded(kind),
            Some(Err(error)) => Error::Broken(error),
            None => pending().await,
        }
    }
}

struct Keeper {
    topologies: mpsc::Receiver<(WatchId, Report<Topology>)>,
    configurations: mpsc::Receiver<(WatchId, Report<Configuration>)>,
    live: Live,
    writer: Writer,
    guard: Guard,
}

impl Keeper {
    async fn keep(mut self) -> Infallible {
        let mut wake = None;
        loop {
            let (mut topologies, mut configurations) = (Vec::new(), Vec::new());
            tokio::select! {
                _ = self.topologies.recv_many(&mut topologies, WAITING_REPORTS) => {}
                _ = self.configurations.recv_many(&mut configurations, WAITING_REPORTS) => {}
                () = changed(&mut self.guard.relied_on) => {}
                () = until(wake) => {}
            }
            for (_, report) in topologies {
                self.live.topologies.apply(report);
            }
            for (watch, report) in configurations {
                self.live.configurations(watch).apply(report);
            }
            wake = self.settle().await;
        }
    }

    /// Writes what is not written yet; says when to look again although nothing has changed.
    async fn settle(&mut self) -> Option<Instant> {
        let relied_on = self.guard.relied_on.borrow().clone();
        let verdicts = self.live.verdicts(&self.guard.configuration, relied_on.as_deref())?;
        self.writer.settle(&verdicts).await
    }
}

/// Waits for the next change; if there can be none any more, for ever.
async fn changed(relied_on: &mut watch::Receiver<Option<String>>) {
    if relied_on.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Waits until then; if there is no time given, for ever.
async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => pending().await,
    }
}
