//! The stored status of the cluster's topologies, either read once or awaited.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::decode::ReceivedObject;
use super::failure::Failure;
use super::kinds::{Target, WatchedKind};
use super::liveness::Liveness;
use super::metrics::WatchMetrics;
use super::store::{Store, Update, WatchId};
use super::watch_loop::{WATCH_SECONDS, WatchLoop};
use crate::topology::GatewayTopologyStatus;

/// A topology's generation and its stored status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopologyStatus {
    /// `metadata.generation`, which changes with the spec.
    pub generation: i64,
    /// The status as the API server stores it; empty if it does not decode.
    pub status: GatewayTopologyStatus,
}

/// The status of topologies, by name.
pub type TopologyStatuses = BTreeMap<String, TopologyStatus>;

/// The reason why the topologies could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server does not serve the kind.
    #[error("the kind `GatewayTopology` is not installed: apply the output of `lockstep crd`")]
    NotInstalled,
    /// The API server rejects the request or is unreachable.
    #[error("cannot read the cluster's topologies: {0}")]
    Failed(String),
    /// The API server did not answer in time.
    #[error("the API server has not answered in time")]
    Timeout,
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Missing => Self::NotInstalled,
            Failure::Expired(words) | Failure::Other(words) => Self::Failed(words),
        }
    }
}

/// Reads the status of all topologies.
///
/// # Errors
/// [`ReadError::NotInstalled`] and [`ReadError::Failed`].
pub async fn list(client: Client) -> Result<TopologyStatuses, ReadError> {
    let api: Api<DynamicObject> = Api::all_with(client, &WatchedKind::GatewayTopology.resource());
    let objects = api.list(&ListParams::default()).await.map_err(|error| Failure::from(&error))?;
    let read = objects.items.into_iter().map(|object| {
        let object = ReceivedObject::from(object);
        (object.key().name, decode(WatchedKind::GatewayTopology, object))
    });
    Ok(read.collect())
}

/// Watches until `is_wanted` returns true or `patience` has passed. Returns the status of all topologies at that time.
///
/// # Errors
/// [`ReadError`], if the topologies could not be read at all.
pub async fn wait(
    client: Client,
    patience: Duration,
    is_wanted: impl Fn(&TopologyStatuses) -> bool,
) -> Result<TopologyStatuses, ReadError> {
    let now = Instant::now();
    let deadline = now.checked_add(patience).unwrap_or(now);
    let (updates, mut received) = mpsc::channel(1);
    let metrics = WatchMetrics::default();
    let watch = WatchLoop {
        id: WatchId::default(),
        target: Target::everywhere(WatchedKind::GatewayTopology),
        client,
        updates,
        decode,
        lasts: WATCH_SECONDS,
        liveness: Liveness::new(metrics.last_contact(WatchedKind::GatewayTopology)),
        metrics,
    };
    let _watch = AbortOnDropHandle::new(tokio::spawn(watch.run()));
    let (mut store, mut error) = (Store::default(), ReadError::Timeout);
    while let Ok(Some((_, update))) = timeout_at(deadline, received.recv()).await {
        if let Update::Failed(failure) = &update {
            error = failure.clone().into();
        }
        store.apply(update);
        if by_name(&store).is_some_and(|statuses| is_wanted(&statuses)) {
            break;
        }
    }
    by_name(&store).ok_or(error)
}

fn by_name(store: &Store<TopologyStatus>) -> Option<TopologyStatuses> {
    let known = store.known()?.iter();
    Some(known.map(|(key, status)| (key.name.clone(), status.clone())).collect())
}

fn decode(_: WatchedKind, mut object: ReceivedObject) -> TopologyStatus {
    let generation = object.metadata.generation.unwrap_or_default();
    TopologyStatus { generation, status: object.take_status() }
}
