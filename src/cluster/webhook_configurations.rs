//! The two webhook configurations that register Lockstep: one watch of each, for every reader of them.
//!
//! [`watch_webhook_configurations`] returns a receiver, which may be cloned, and the future that keeps it current. The
//! status of topologies and the CA reconciler both subscribe to it.

use std::future::Future;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use super::contact::Contact;
use super::follow::{WATCH_SECONDS, Watch};
use super::item::Raw;
use super::latest::Latest;
use super::target::{Target, WatchId};
use super::{Error, WatchMetrics, Watched};
use crate::coverage::Configuration;
use crate::snapshot::ObjectKey;

/// Reports that wait while the receiver is updated.
const WAITING_REPORTS: usize = 16;

/// The two webhook configurations of one name, as last received.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfigurations {
    /// The name that the two share.
    pub name: String,
    /// The `MutatingWebhookConfiguration`.
    pub mutating: Observed,
    /// The `ValidatingWebhookConfiguration`.
    pub validating: Observed,
}

/// One webhook configuration, as far as the watch has received it.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Observed {
    /// The first list is not complete yet.
    #[default]
    Unknown,
    /// There is no configuration of the name.
    Absent,
    /// The configuration as it was last received.
    Present(Arc<ObservedConfiguration>),
}

/// A webhook configuration and its version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedConfiguration {
    /// `metadata.resourceVersion`; a write that names it fails with a conflict if the configuration has changed since.
    pub resource_version: String,
    /// The fields that decide what is called and which CA is trusted.
    pub configuration: Configuration,
}

impl Observed {
    /// The configuration; `None` before the first list, `Some(None)` where there is none of the name.
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
    /// Decodes an object of `kind`. One that cannot be decoded has no webhooks, so it guards nothing.
    pub(super) fn read(kind: Watched, raw: Raw) -> (ObjectKey, Self) {
        let key = raw.key();
        let configuration = serde_json::from_value(raw.rest).unwrap_or_else(|error| {
            warn!(?kind, name = key.name, %error, "cannot decode the webhook configuration: treating it as empty");
            Configuration::default()
        });
        let resource_version = raw.metadata.resource_version.unwrap_or_default();
        (key, Self { resource_version, configuration })
    }
}

/// Watches the two webhook configurations called `name`.
///
/// The receiver changes whenever one of them does. The future keeps it current; it ends with the error of a watch that
/// ended, which none does by itself. An API server that cannot be reached or that refuses is logged, counted in
/// `metrics` and retried.
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
    let (reports, mut inbox) = mpsc::channel(WAITING_REPORTS);
    let mut tasks = JoinSet::new();
    for (id, kind) in [
        (MUTATING, Watched::MutatingWebhookConfiguration),
        (VALIDATING, Watched::ValidatingWebhookConfiguration),
    ] {
        let watch = Watch {
            id,
            target: Target::one(kind, &name),
            client: client.clone(),
            reports: reports.clone(),
            read: ObservedConfiguration::read,
            lasts: WATCH_SECONDS,
            contact: Contact::new(),
            metrics: metrics.clone(),
        };
        tasks.spawn(watch.follow());
    }
    drop(reports);
    let (mut mutating, mut validating) = (Latest::default(), Latest::default());
    let observed = |latest: &Latest<ObservedConfiguration>| match latest.items() {
        None => Observed::Unknown,
        Some(items) => {
            items.get(&name).map_or(Observed::Absent, |found| Observed::Present(Arc::new(found.clone())))
        }
    };
    loop {
        tokio::select! {
            Some((watch, report)) = inbox.recv() => {
                if watch == MUTATING { &mut mutating } else { &mut validating }.apply(report);
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
