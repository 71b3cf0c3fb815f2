//! From a cluster to facts: watches, what they hold, and the snapshots that come of it.
//!
//! Every watch is a task that turns what the API server sends into reports. One loop applies them to the
//! holdings, starts and stops watches as topologies come and go, and publishes a snapshot when something
//! changed that a rule could see.
//!
//! Invariants:
//! * Nothing is published until the nodes and the topologies are known, and a namespace that a topology names
//!   is pending in every snapshot until all of its watches have delivered their first list.
//! * Which namespaces are pending is derived from the topologies anew for each snapshot, never kept in step by
//!   hand.
//! * The end of a watch task is the end of [`run`]: stale facts must not look like fresh ones for long.
//! * What a watch told is used for a bounded time without a word from the API server. Then it is unknown, as before
//!   the first list, and the watch starts over.
//! * The status of topologies is kept by tasks of its own ([`reconcile_status`]): whatever happens to them, facts stay as they are.
//! * This module knows no request and no verdict.

pub mod authority;
mod contact;
mod failure;
mod follow;
mod holdings;
mod inbox;
mod item;
mod latest;
mod listing;
mod metrics;
mod overlap;
mod publish;
pub mod reported;
mod status;
mod target;
mod trouble;
mod watched;
mod watches;
mod webhook_configurations;

pub use metrics::WatchMetrics;
pub use status::{StatusInputs, reconcile_status};
pub use watched::Watched;
pub use webhook_configurations::{
    Observed, ObservedConfiguration, WebhookConfigurations, watch_webhook_configurations,
};

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{InferConfigError, KubeconfigError};
use kube::{Client, Config};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::snapshot::Snapshot;
use holdings::Holdings;
use inbox::Inbox;
use overlap::Overlaps;
use publish::Publisher;
use watches::Watches;

/// For how long what a watch told is used without a word from the API server, unless told otherwise. A healthy
/// watch is heard of every minute: this leaves a minute to notice that one is dead and to connect anew, so that
/// a passing failure is not felt.
pub const STALE_AFTER: Duration = Duration::from_secs(120);

/// How often is looked whether facts are stale.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longer than a watch is ever silent (`follow::WATCH_SECONDS`), so that only a dead connection is cut. kube
/// sets no limit, and a list on a connection that lost its peer would hang for as long as TCP tries.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Reports that wait while a snapshot is built. A list is one report, so this is a burst of single changes.
const WAITING_REPORTS: usize = 1024;

/// Why there are no facts, or no more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster is configured: {0}; set KUBECONFIG, write ~/.kube/config, or run in a pod")]
    NoCluster(String),
    /// There is a kubeconfig, and it is wrong.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// What is configured cannot be used.
    #[error("the configured cluster cannot be used: {0}")]
    Client(String),
    /// A watch task returned, which none does by itself.
    #[error("the watch of `{0:?}` ended, so facts would grow stale: start again")]
    WatchEnded(Watched),
    /// A task broke off.
    #[error("a task of the watches broke off, so facts would grow stale: start again, and report this bug")]
    Broken(#[source] JoinError),
}

/// A client for the cluster of `KUBECONFIG`, of `~/.kube/config`, or of the pod this runs in.
///
/// It does not connect yet: a cluster that cannot be reached is tried again by [`run`].
///
/// # Errors
/// [`Error::NoCluster`], [`Error::Kubeconfig`] and [`Error::Client`].
pub async fn connect() -> Result<Client, Error> {
    let mut config = Config::infer().await.map_err(|error| unconfigured(&error))?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    Client::try_from(config).map_err(|error| Error::Client(failure::words(&error)))
}

/// No pod, and no kubeconfig or a wrong one. Its text about both would be long, and its source is about the latter.
fn unconfigured(error: &InferConfigError) -> Error {
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<KubeconfigError>()) else {
        return Error::NoCluster(error.to_string());
    };
    let words = error.to_string();
    match error {
        KubeconfigError::FindPath => Error::NoCluster(words),
        KubeconfigError::ReadConfig(cause, _) if cause.kind() == ErrorKind::NotFound => {
            Error::NoCluster(words)
        }
        _ => Error::Kubeconfig(words),
    }
}

/// Watches the cluster and publishes a snapshot of facts whenever they change, until `shutdown`.
///
/// `None` means that there must be no answer. A snapshot stays published after `shutdown`, for the requests
/// that are still served; after an error nothing is.
///
/// What a watch told is no longer used once the API server has been silent about it for `stale_after`: without nodes
/// or topologies there are no facts then, and without anything else the namespace is not known. It comes back with
/// the next list. A watch request lasts half of that time, a minute at most.
///
/// # Errors
/// [`Error::WatchEnded`] and [`Error::Broken`]. An API server that cannot be reached or that refuses is no
/// error: it is logged, counted and tried again.
pub async fn run(
    client: Client,
    publish: watch::Sender<Option<Arc<Snapshot>>>,
    metrics: WatchMetrics,
    stale_after: Duration,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (reports, inbox) = mpsc::channel(WAITING_REPORTS);
    let mut watches = Watches::new(client, reports, metrics.clone(), stale_after);
    let publisher = Publisher::new(publish, metrics.clone());
    let outcome = keep(&mut watches, Inbox::new(inbox), &publisher, &metrics, &shutdown).await;
    if outcome.is_err() {
        publisher.withdraw();
    }
    watches.stop().await;
    outcome
}

async fn keep(
    watches: &mut Watches,
    mut inbox: Inbox,
    publisher: &Publisher,
    metrics: &WatchMetrics,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut holdings = Holdings::default();
    let mut overlaps = Overlaps::default();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    watches.follow(&mut holdings);
    loop {
        let batch = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            error = watches.ended() => return Err(error),
            _ = look.tick() => Vec::new(),
            batch = inbox.next() => batch,
        };
        let mut changed = watches.restart_silent(&mut holdings);
        metrics.set_facts_age(watches.age());
        for (watch, report) in batch {
            changed |= holdings.apply(watch, report);
        }
        if changed {
            // Before the snapshot: a namespace that nothing watches yet must be pending in it.
            watches.follow(&mut holdings);
            overlaps.warn(holdings.topologies());
            let (kept, cost) = publisher.publish(holdings).await?;
            holdings = kept;
            if let Some(cost) = cost {
                inbox.rest(cost);
            }
        }
    }
}
