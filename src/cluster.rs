//! The cluster: watches, their stores, the snapshots built from them, and the status of topologies.
//!
//! # How an event becomes a snapshot
//!
//! 1. `watch_loop`: one task per watch lists and watches; `liveness` decides what confirms the watch.
//! 2. `kinds` and `decode`: the part of the object that a snapshot keeps. `kinds` also documents how to add a kind.
//! 3. `debounce`: updates are collected, so that many changes lead to few snapshots.
//! 4. `store`: updates are applied to the stores, and an inventory is derived from them.
//! 5. `supervisor`: watches are started and stopped as topologies require them.
//! 6. `publication`: a [`Snapshot`] is built and published to the readers.
//!
//! # Invariants
//!
//! * No snapshot is published before nodes and topologies are known, and a namespace that a topology names is pending in
//!   every snapshot until all of its watches have received a list.
//! * The pending namespaces are derived from the topologies for each snapshot; there is no separate state to keep in
//!   sync.
//! * If a watch task ends, [`run`] ends: stale objects must not look like fresh ones.
//! * The objects of a watch are used for a bounded time without hearing from the API server. After that they are
//!   unknown, as before the first list, and the watch is replaced.
//! * A one-shot read ([`state`]) shares nothing with the watches but the client.
//! * Status and reports have tasks of their own ([`reconcile_status`], [`reconcile_reports`]), so that their failures
//!   do not affect snapshots.
//! * This module has no requests and no verdicts.

mod assessment_metrics;
mod assessor;
mod backoff;
mod debounce;
mod decode;
mod failure;
mod kinds;
pub(crate) mod kubeconfig;
mod last_assessments;
mod liveness;
mod metrics;
mod publication;
mod report;
mod schedule;
pub mod state;
mod status;
mod store;
mod supervisor;
mod token_bucket;
mod topology_overlap;
pub mod topology_status;
mod wake;
mod watch_loop;
mod webhook_calls;
mod webhook_configurations;

pub use assessment_metrics::AssessmentMetrics;
pub use assessor::{Assessments, AssessmentsReceiver, StateSender, assessor};
pub(crate) use failure::words as describe_error;
pub use kinds::WatchedKind;
pub use metrics::WatchMetrics;
pub use report::{ReportInputs, reconcile_reports};
pub use status::{StatusInputs, reconcile_status};
pub use webhook_calls::webhook_calls;
pub use webhook_configurations::{
    Observed, ObservedConfiguration, WebhookConfigurations, watch_webhook_configurations,
};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};
use lockstep_core::escape::{escape, excerpt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::MapErrLayer;

use crate::snapshot::Snapshot;
use debounce::Debounce;
use publication::Publisher;
use store::Stores;
use supervisor::Supervisor;
use topology_overlap::Overlaps;

/// The default time for which the objects of a watch are used without hearing from the API server. A healthy watch is
/// confirmed every minute, so this leaves a minute to notice a dead one and to reconnect before reviews are affected.
pub const STALE_AFTER: Duration = Duration::from_secs(120);

/// The minimum of this time. With less, a restart of the API server or a lost packet would stop reviews. With a few
/// seconds, healthy watches would count as stale between two confirmations and be replaced forever.
pub const MIN_STALE_AFTER: Duration = Duration::from_secs(10);

/// The time between two checks for stale watches.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The read timeout of a connection. It is longer than any silence of a healthy watch (`watch_loop::WATCH_SECONDS`),
/// so that only a dead connection is cut. kube sets no timeout, and a list on a connection that has lost its peer
/// would hang for as long as TCP retries.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The maximum number of queued updates while a snapshot is built. A list is one update, so this is a burst of single
/// changes.
const WAITING_UPDATES: usize = 1024;

/// The reason why there is no snapshot, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster is configured: {0}; set KUBECONFIG, write ~/.kube/config, or run in a pod")]
    NoCluster(String),
    /// The kubeconfig is invalid.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// The kubeconfig does not have the context that was asked for.
    #[error("the kubeconfig has no context `{0}`: `kubectl config get-contexts` lists them")]
    NoContext(String),
    /// The configuration of the client cannot be used.
    #[error("the configured cluster cannot be used: {0}")]
    Client(String),
    /// The time after which a watch is stale is shorter than [`MIN_STALE_AFTER`].
    #[error(
        "a watch cannot be stale after `{0:?}`: healthy watches are silent for that long; give at least {MIN_STALE_AFTER:?}"
    )]
    StaleTooSoon(Duration),
    /// A watch task returned, which only a bug can cause.
    #[error("the watch of `{0:?}` ended, so its objects would grow stale: restart, and report this bug")]
    WatchEnded(WatchedKind),
    /// A task panicked.
    #[error("a task of the watches panicked, so objects would grow stale: restart, and report this bug")]
    Broken(#[source] JoinError),
}

/// Creates a client for the cluster of `KUBECONFIG`, of `~/.kube/config`, or of the pod that this process runs in.
///
/// It does not connect yet: [`run`] retries if the cluster is unreachable.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::Kubeconfig`] and [`Error::Client`].
pub async fn connect() -> Result<Client, Error> {
    kubeconfig::check_encoding(None).map_err(|error| Error::Kubeconfig(kubeconfig::words(&error)))?;
    client(Config::infer().await.map_err(|error| kubeconfig::unconfigured(&error))?)
}

/// Creates a client for the cluster that kubectl's flags `--kubeconfig` and `--context` select. Without both, it works like
/// [`connect`].
///
/// # Errors
/// As [`connect`], and [`Error::NoContext`].
pub async fn connect_to(path: Option<&Path>, context: Option<&str>) -> Result<Client, Error> {
    if path.is_none() && context.is_none() {
        return connect().await;
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = match kubeconfig::read(path) {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    client(config.map_err(|error| match (error, path) {
        (KubeconfigError::LoadContext(name), _) => Error::NoContext(excerpt(&name)),
        (error @ KubeconfigError::ReadConfig(..), _) | (error, None) => {
            Error::Kubeconfig(kubeconfig::words(&error))
        }
        (error, Some(path)) => {
            Error::Kubeconfig(format!("`{}`: {}", escape(&path.to_string_lossy()), kubeconfig::words(&error)))
        }
    })?)
}

fn client(mut config: Config) -> Result<Client, Error> {
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let address = config.cluster_url.to_string();
    let named = MapErrLayer::new(move |source: BoxError| {
        BoxError::from(Unanswered { address: address.clone(), source })
    });
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| Error::Client(escape(&failure::words(&error)).into_owned()))?;
    Ok(builder.with_layer(&named).build())
}

/// A request that the API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server at `{address}` does not answer")]
struct Unanswered {
    address: String,
    source: BoxError,
}

/// Watches the cluster, and publishes a snapshot after every change that a rule can see, until `shutdown`.
///
/// While `None` is published, the state is unknown and no review may be answered. After `shutdown` the last snapshot
/// stays, for the requests in flight; after an error none stays.
///
/// If the API server has not confirmed a watch for `stale_after`, its objects are discarded: without nodes or
/// topologies there is no snapshot then, and without other objects their namespace is pending. The next list restores
/// them. A watch request lasts half of that time, and a minute at most.
///
/// # Errors
/// [`Error::StaleTooSoon`], [`Error::WatchEnded`] and [`Error::Broken`]. An API server that is unreachable or rejects
/// requests is not an error: it is logged, counted and retried.
pub async fn run(
    client: Client,
    publish: watch::Sender<Option<Arc<Snapshot>>>,
    assessor: Option<StateSender>,
    metrics: WatchMetrics,
    stale_after: Duration,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    if stale_after < MIN_STALE_AFTER {
        return Err(Error::StaleTooSoon(stale_after));
    }
    let (sender, updates) = mpsc::channel(WAITING_UPDATES);
    let mut supervisor = Supervisor::new(client, sender, metrics.clone(), stale_after);
    let publisher = Publisher::new(publish, assessor, metrics.clone());
    let outcome =
        keep_current(&mut supervisor, Debounce::new(updates), &publisher, &metrics, &shutdown).await;
    if outcome.is_err() {
        publisher.withdraw();
    }
    supervisor.stop().await;
    outcome
}

async fn keep_current(
    supervisor: &mut Supervisor,
    mut debounce: Debounce,
    publisher: &Publisher,
    metrics: &WatchMetrics,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut stores = Stores::default();
    let mut overlaps = Overlaps::default();
    let mut check = tokio::time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    supervisor.follow(&mut stores);
    loop {
        let batch = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            error = supervisor.ended() => return Err(error),
            _ = check.tick() => Vec::new(),
            batch = debounce.next() => batch,
        };
        let mut effect = supervisor.replace_stale(&mut stores);
        metrics.set_facts_age(supervisor.age());
        for (watch, update) in batch {
            effect.merge(stores.apply(watch, update));
        }
        if effect.on_topologies {
            // This comes before the snapshot, in which a namespace without watches must be pending.
            supervisor.follow(&mut stores);
            overlaps.warn(stores.topologies());
        }
        if effect.on_assessments {
            let (kept, cost) = publisher.publish(stores, effect).await?;
            stores = kept;
            if let Some(cost) = cost {
                debounce.pause(cost);
            }
        }
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use axum::http::Response;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_stale_after_below_the_silence_of_a_healthy_watch_is_rejected() {
        let unused = service_fn(async |_| Ok::<_, kube::Error>(Response::new(Body::empty())));
        let client = Client::new(unused, "default");
        let stale_after = Duration::from_secs(2);
        let (publish, _) = watch::channel(None);
        let outcome =
            run(client, publish, None, WatchMetrics::default(), stale_after, CancellationToken::new()).await;
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "a watch cannot be stale after `2s`: healthy watches are silent for that long; give at least 10s"
        );
    }
}
