//! The status of topologies: whether the live webhook configurations cover them.
//!
//! Every replica watches the same objects, comes to the same verdict, and writes it where it is not there yet.
//! A write names the version of the topology that it is about. So of several replicas one is first, and the
//! others find nothing left to do. A verdict that is written is made of configurations that were read after that
//! version: no older verdict replaces a newer one.

mod decide;
mod live;
mod pace;
mod trouble;
mod write;

use std::convert::Infallible;
use std::future::pending;

use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::follow::{WATCH_SECONDS, Watch};
use super::item::Raw;
use super::listing::Report;
use super::target::{Target, WatchId};
use super::{Error, Metrics, Watched};
use crate::coverage::{Configuration, Configurations};
use crate::snapshot::ObjectKey;
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
    let mut watches = Watches { client: client.clone(), tasks: JoinSet::new() };
    let everything = Target::everywhere(Watched::GatewayTopology);
    let (to_topologies, topologies) = mpsc::channel(WAITING_REPORTS);
    let (to_configurations, configurations) = mpsc::channel(WAITING_REPORTS);
    // The metrics of this kind are those of the watch that facts come from: this one must not hide its silence.
    watches.start(TOPOLOGIES, everything, &to_topologies, Topology::read, Metrics::default());
    for (id, kind) in [
        (MUTATING, Watched::MutatingWebhookConfiguration),
        (VALIDATING, Watched::ValidatingWebhookConfiguration),
    ] {
        let target = Target::one(kind, &guard.configuration);
        watches.start(id, target, &to_configurations, live::configuration, metrics.clone());
    }
    let keeper = Keeper {
        topologies,
        configurations,
        live: Live::default(),
        reader: Reader { client: client.clone() },
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
    tasks: JoinSet<Watched>,
}

impl Watches {
    fn start<T: Send + 'static>(
        &mut self,
        id: WatchId,
        target: Target,
        reports: &mpsc::Sender<(WatchId, Report<T>)>,
        read: fn(Watched, Raw) -> (ObjectKey, T),
        metrics: Metrics,
    ) {
        let client = self.client.clone();
        let (reports, lasts, contact) = (reports.clone(), WATCH_SECONDS, Contact::new());
        self.tasks.spawn(Watch { id, target, client, reports, read, lasts, contact, metrics }.follow());
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
    reader: Reader,
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
        let name = self.guard.configuration.as_str();
        let relied_on = self.guard.relied_on.borrow().clone();
        let verdicts = self.live.verdicts(name, relied_on.as_deref())?;
        if !self.writer.take(&verdicts) {
            return None;
        }
        // The watches do not keep step. Another replica may have judged this very version of a topology by newer
        // configurations than are known here, and its verdict must not be overwritten by an older one.
        let (mutating, validating) = match self.reader.read(name).await {
            Ok(configurations) => configurations,
            Err(error) => return self.writer.note(&error),
        };
        let (mutating, validating) = (mutating.as_ref(), validating.as_ref());
        let live = Configurations { name, mutating, validating, relied_on: relied_on.as_deref() };
        self.writer.settle(&self.live.verdicts_by(live)?).await
    }
}

/// Reads the webhook configurations as they are now.
struct Reader {
    client: Client,
}

impl Reader {
    async fn read(&self, name: &str) -> kube::Result<(Option<Configuration>, Option<Configuration>)> {
        let mutating = self.read_one(Watched::MutatingWebhookConfiguration, name).await?;
        Ok((mutating, self.read_one(Watched::ValidatingWebhookConfiguration, name).await?))
    }

    async fn read_one(&self, kind: Watched, name: &str) -> kube::Result<Option<Configuration>> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind.resource());
        let object = api.get_opt(name).await?;
        Ok(object.map(|object| live::configuration(kind, object.into()).1))
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
