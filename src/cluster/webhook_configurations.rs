//! The two webhook configurations that register Lockstep: one watch of each, shared by all readers.
//!
//! [`watch_webhook_configurations`] returns a receiver, which may be cloned, and the future that keeps it current. The
//! status of topologies and the CA reconciler both subscribe to it.

use std::future::Future;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use super::decode::ReceivedObject;
use super::kinds::{Target, WatchedKind};
use super::liveness::Liveness;
use super::store::{Store, WatchId};
use super::watch_loop::{WATCH_SECONDS, WatchLoop};
use super::{Error, WatchMetrics};
use crate::coverage::Configuration;

/// The maximum number of queued updates while the receiver is updated.
const WAITING_UPDATES: usize = 16;

/// The two webhook configurations of one name, as last received.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfigurations {
    /// The name of both configurations.
    pub name: String,
    /// The `MutatingWebhookConfiguration`.
    pub mutating: Observed,
    /// The `ValidatingWebhookConfiguration`.
    pub validating: Observed,
}

/// One webhook configuration in its state at the watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Observed {
    /// The first list is not complete yet.
    #[default]
    Unknown,
    /// The configuration does not exist.
    Absent,
    /// The configuration as last received.
    Present(Arc<ObservedConfiguration>),
}

/// A webhook configuration and its version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedConfiguration {
    /// `metadata.uid`, by which an object names the configuration as its owner.
    pub uid: String,
    /// `metadata.resourceVersion`. A write with this version fails with a conflict if the configuration has changed
    /// since.
    pub resource_version: String,
    /// The fields that determine which requests are sent and which CA is trusted.
    pub configuration: Configuration,
}

impl Observed {
    /// The configuration; `None` before the first list, `Some(None)` if it does not exist.
    #[must_use]
    pub fn known(&self) -> Option<Option<&ObservedConfiguration>> {
        match self {
            Self::Unknown => None,
            Self::Absent => Some(None),
            Self::Present(observed) => Some(Some(observed)),
        }
    }
}

impl ObservedConfiguration {
    /// Decodes an object of `kind`. An object that cannot be decoded has no webhooks here, so it guards nothing.
    pub(super) fn decode(kind: WatchedKind, object: ReceivedObject) -> Self {
        let ReceivedObject { metadata, rest } = object;
        let configuration = serde_json::from_value(rest).unwrap_or_else(|error| {
            let name = metadata.name.as_deref();
            warn!(?kind, name, %error, "cannot decode the webhook configuration: treating it as empty");
            Configuration::default()
        });
        Self {
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            configuration,
        }
    }
}

/// Watches the two webhook configurations called `name`.
///
/// The receiver changes whenever one of them changes. The future keeps it current. It ends only with the error of a
/// watch that ended, which only a bug can cause. An API server that is unreachable or rejects requests is logged,
/// counted in `metrics` and retried.
pub fn watch_webhook_configurations(
    client: Client,
    name: String,
    metrics: WatchMetrics,
) -> (watch::Receiver<WebhookConfigurations>, impl Future<Output = Error> + Send + 'static) {
    let none = WebhookConfigurations {
        name: name.clone(),
        mutating: Observed::Unknown,
        validating: Observed::Unknown,
    };
    let (publish, receiver) = watch::channel(none);
    (receiver, keep_current(client, name, metrics, publish))
}

async fn keep_current(
    client: Client,
    name: String,
    metrics: WatchMetrics,
    publish: watch::Sender<WebhookConfigurations>,
) -> Error {
    const MUTATING: WatchId = WatchId(1);
    const VALIDATING: WatchId = WatchId(2);
    let (sender, mut updates) = mpsc::channel(WAITING_UPDATES);
    let mut tasks = JoinSet::new();
    for (id, kind) in [
        (MUTATING, WatchedKind::MutatingWebhookConfiguration),
        (VALIDATING, WatchedKind::ValidatingWebhookConfiguration),
    ] {
        let watch = WatchLoop {
            id,
            target: Target::one(kind, &name),
            client: client.clone(),
            updates: sender.clone(),
            decode: ObservedConfiguration::decode,
            lasts: WATCH_SECONDS,
            liveness: Liveness::new(metrics.last_contact(kind)),
            metrics: metrics.clone(),
        };
        tasks.spawn(watch.run());
    }
    let (mut mutating, mut validating) = (Store::default(), Store::default());
    loop {
        tokio::select! {
            Some((watch, update)) = updates.recv() => {
                if watch == MUTATING { &mut mutating } else { &mut validating }.apply(update);
                let next = WebhookConfigurations {
                    name: name.clone(),
                    mutating: observed(&mutating),
                    validating: observed(&validating),
                };
                publish.send_if_modified(|current| {
                    let is_new = *current != next;
                    *current = next;
                    is_new
                });
            }
            Some(ended) = tasks.join_next() => return match ended {
                Ok(kind) => Error::WatchEnded(kind),
                Err(error) => Error::Broken(error),
            },
        }
    }
}

/// Returns the only object that a watch by name can receive.
fn observed(store: &Store<ObservedConfiguration>) -> Observed {
    match store.known() {
        None => Observed::Unknown,
        Some(objects) => objects
            .values()
            .next()
            .map_or(Observed::Absent, |found| Observed::Present(Arc::new(found.clone()))),
    }
}
