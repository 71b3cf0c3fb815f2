//! What the cluster's topologies say about themselves.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::Watched;
use super::failure::Failure;
use super::item::Raw;
use super::latest::Latest;
use super::listing::Listing;
use crate::snapshot::ObjectKey;
use crate::topology::GatewayTopologyStatus;

/// A topology, as far as its status goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reported {
    /// `metadata.generation`: what the spec is at.
    pub generation: i64,
    /// What was found out about it.
    pub status: GatewayTopologyStatus,
}

/// Topologies by name.
pub type Topologies = BTreeMap<String, Reported>;

/// Why topologies could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There is no such kind.
    #[error("the kind `GatewayTopology` is not installed: apply the output of `lockstep crd`")]
    NoKind,
    /// The API server refuses, or cannot be reached.
    #[error("the cluster's topologies cannot be read: {0}")]
    Refused(String),
    /// There was no answer at all.
    #[error("the API server has not answered in time")]
    Silent,
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Missing => Self::NoKind,
            Failure::Expired(words) | Failure::Other(words) => Self::Refused(words),
        }
    }
}

/// Reads all topologies.
///
/// # Errors
/// [`Unread::NoKind`] and [`Unread::Refused`].
pub async fn list(client: Client) -> Result<Topologies, Unread> {
    let objects = topologies(client).list(&ListParams::default()).await;
    let objects = objects.map_err(|error| Failure::from(&error))?;
    let read = objects.items.into_iter().map(|object| {
        let (key, reported) = read(object);
        (key.name, reported)
    });
    Ok(read.collect())
}

/// Watches until the topologies are as wanted or `patience` has run out, and returns them as they are then.
///
/// # Errors
/// [`Unread`], if they could not be read at all.
pub async fn wait(
    client: Client,
    patience: Duration,
    is_wanted: impl Fn(&Topologies) -> bool,
) -> Result<Topologies, Unread> {
    let now = Instant::now();
    let deadline = now.checked_add(patience).unwrap_or(now);
    let mut events = pin!(watcher(topologies(client), watcher::Config::default()).default_backoff());
    let (mut listing, mut latest) = (Listing::default(), Latest::default());
    let mut unread = Unread::Silent;
    while let Ok(Some(event)) = timeout_at(deadline, events.next()).await {
        match event {
            Ok(event) => {
                if let Some(report) = listing.take(event, read) {
                    latest.apply(report);
                }
            }
            Err(error) => unread = Failure::from(&error).into(),
        }
        if latest.items().is_some_and(&is_wanted) {
            break;
        }
    }
    latest.items().cloned().ok_or(unread)
}

fn topologies(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &Watched::GatewayTopology.resource())
}

fn read(object: DynamicObject) -> (ObjectKey, Reported) {
    let mut raw = Raw::from(object);
    let generation = raw.metadata.generation.unwrap_or_default();
    (raw.key(), Reported { generation, status: status(&mut raw.rest) })
}

/// Takes the status out of an object. One that cannot be read says nothing.
pub(super) fn status(rest: &mut Value) -> GatewayTopologyStatus {
    let status = rest.get_mut("status").map(Value::take).unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}
