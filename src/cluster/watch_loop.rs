//! The watch loop: list, watch, and start over, as one task per watch.
//!
//! Invariants:
//! * Updates come in the order in which the API server made the changes. The first one of a task is a complete list, or a
//!   failure.
//! * A watch resumes at the version of the last event. Where that could hide a change, because the version is too old or
//!   an event was an error or could not be decoded, the task lists again.
//! * [`Liveness`] is confirmed by the signs that its module names, and by nothing else.
//! * A page of a list or one event is all that is held of whole objects: each is decoded, and its raw form dropped.
//! * The task never ends by itself while somebody receives its updates. Every failure is counted, reported once, and
//!   retried after a pause.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};

use super::backoff::Backoff;
use super::decode::{Item, ReceivedObject};
use super::failure::Failure;
use super::kinds::{Target, WatchedKind};
use super::liveness::{Liveness, with_broken_connections};
use super::metrics::WatchMetrics;
use super::store::{Update, WatchId};
use crate::snapshot::ObjectKey;

/// The longest duration of one watch request, in seconds. A request a minute costs the API server nothing, and the end of
/// each confirms liveness.
pub(super) const WATCH_SECONDS: u32 = 60;

/// How much later than the end of a watch request a connection without events is given up. Its peer is gone.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(5) };

/// How much earlier than asked for a watch may end and still count as ended in time: clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// A watch that ends sooner than this without an event is a failure, or the loop would hammer an API server that ends
/// every watch at once.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// The number of objects that one page of a list holds at most: the page size of kubectl and of client-go.
const PAGE: u32 = 500;

/// The pause before a kind that is not installed is listed again. A person who installs it waits that long, and
/// requests about it are rejected meanwhile; the API server retries those for about as long.
const MISSING_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two tries. An API server that is back is in use again this soon: while it was gone,
/// objects may have become stale. A request of each watch every few seconds is no burden to it.
const LONGEST_PAUSE: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(5) };

/// One watch, ready to run.
pub(super) struct WatchLoop<T = Item> {
    pub(super) id: WatchId,
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) updates: mpsc::Sender<(WatchId, Update<T>)>,
    /// The part of an object that is kept.
    pub(super) decode: fn(WatchedKind, ReceivedObject) -> T,
    /// The duration of one watch request, in seconds.
    pub(super) lasts: u32,
    pub(super) liveness: Liveness,
    pub(super) metrics: WatchMetrics,
}

/// An object as it is asked for: whole, or metadata only.
trait Received:
    Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Into<ReceivedObject>
    + 'static
{
}

impl Received for DynamicObject {}

impl Received for PartialObjectMeta {}

/// Why a list or a watch ended early.
enum Interruption {
    /// Nobody receives updates any more.
    Closed,
    Failed(Failure),
}

impl From<kube::Error> for Interruption {
    fn from(error: kube::Error) -> Self {
        Self::Failed(Failure::from(&error))
    }
}

impl<T: Send + 'static> WatchLoop<T> {
    /// Runs for as long as somebody receives the updates. Returns the kind, for the error that names it.
    pub(super) async fn run(self) -> WatchedKind {
        // Boxed, because the two are large and of different sizes.
        if self.target.kind.is_whole() {
            Box::pin(self.run_as::<DynamicObject>()).await;
        } else {
            Box::pin(self.run_as::<PartialObjectMeta>()).await;
        }
        self.target.kind
    }

    async fn run_as<K: Received>(&self) {
        let api = self.api::<K>();
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        // The version to watch from. Without one, the next step is a list.
        let mut version = None;
        loop {
            let step = match &mut version {
                None => self.list(&api, &mut backoff).await.map(|listed| version = Some(listed)),
                Some(_) => self.watch(&api, &mut version, &mut backoff).await,
            };
            let failure = match step {
                Ok(()) => continue,
                Err(Interruption::Closed) => return,
                Err(Interruption::Failed(failure)) => failure,
            };
            if matches!(failure, Failure::Missing | Failure::Expired(_)) {
                version = None;
            }
            let pause = self.fail(&failure, &mut backoff);
            if self.send(Update::Failed(failure)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Lists all objects, page by page, and returns the version of the list.
    ///
    /// It is read from the quorum: a list from a cache that lags could undo what was already received.
    async fn list<K: Received>(
        &self,
        api: &Api<K>,
        backoff: &mut Backoff<Failure>,
    ) -> Result<String, Interruption> {
        let mut page = ListParams {
            label_selector: self.target.label_selector(),
            field_selector: self.target.field_selector(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        let mut listed = BTreeMap::new();
        let version = loop {
            let objects = api.list(&page).await?;
            for object in objects.items {
                self.metrics.count_event(self.target.kind);
                let (key, object) = self.decode(object);
                listed.insert(key, object);
            }
            match objects.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => break objects.metadata.resource_version.filter(|version| !version.is_empty()),
            }
        };
        // Without a version there is nothing to watch from.
        let failure = || Interruption::Failed(Failure::Other("the list has no resourceVersion".to_owned()));
        let version = version.ok_or_else(failure)?;
        self.succeed(backoff);
        self.send(Update::Listed(listed)).await?;
        Ok(version)
    }

    /// Watches until the API server ends the watch. `version` follows the events; it is taken away where only a list can
    /// tell what there is.
    async fn watch<K: Received>(
        &self,
        api: &Api<K>,
        version: &mut Option<String>,
        backoff: &mut Backoff<Failure>,
    ) -> Result<(), Interruption> {
        let params = WatchParams {
            label_selector: self.target.label_selector(),
            field_selector: self.target.field_selector(),
            timeout: Some(self.lasts),
            ..WatchParams::default()
        };
        let lasts = Duration::from_secs(self.lasts.into());
        let silence = lasts.saturating_add(GRACE);
        let asked = Instant::now();
        let from = version.clone().unwrap_or_default();
        let mut events =
            pin!(timeout(silence, api.watch(&params, &from)).await.map_err(|_| silent(silence))??);
        let mut has_events = false;
        loop {
            let update = match timeout(silence, events.next()).await {
                Err(_) => return Err(silent(silence)),
                Ok(None) => break,
                Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                    *version = Some(bookmark.metadata.resource_version);
                    None
                }
                Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                    *version = object.resource_version();
                    let (key, object) = self.decode(object);
                    Some(Update::Applied(key, object))
                }
                Ok(Some(Ok(WatchEvent::Deleted(object)))) => {
                    *version = object.resource_version();
                    Some(Update::Deleted(object.into().key()))
                }
                Ok(Some(Ok(WatchEvent::Error(status)))) => {
                    *version = None;
                    return Err(Interruption::Failed(Failure::from(&*status)));
                }
                Ok(Some(Err(error))) => {
                    // A connection that broke lost nothing: the next watch sends what is missing.
                    if !matches!(error, kube::Error::ReadEvents(_)) {
                        *version = None;
                    }
                    return Err(error.into());
                }
            };
            has_events = true;
            self.succeed(backoff);
            if let Some(update) = update {
                self.metrics.count_event(self.target.kind);
                self.send(update).await?;
            }
        }
        let lasted = asked.elapsed();
        if lasted.saturating_add(CLOCK_SKEW) >= lasts {
            self.succeed(backoff);
        } else if lasted < SHORTEST_WATCH && !has_events {
            let failure = "the API server ended the watch at once".to_owned();
            return Err(Interruption::Failed(Failure::Other(failure)));
        }
        Ok(())
    }

    fn decode<K: Received>(&self, object: K) -> (ObjectKey, T) {
        let object: ReceivedObject = object.into();
        (object.key(), (self.decode)(self.target.kind, object))
    }

    fn api<K: Received>(&self) -> Api<K> {
        let resource = self.target.kind.resource();
        let client = with_broken_connections(self.client.clone());
        match &self.target.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    async fn send(&self, update: Update<T>) -> Result<(), Interruption> {
        self.updates.send((self.id, update)).await.map_err(|_| Interruption::Closed)
    }

    /// Notes that everything up to now was received.
    fn succeed(&self, backoff: &mut Backoff<Failure>) {
        self.liveness.confirm();
        if backoff.succeed() {
            info!(kind = ?self.target.kind, namespace = self.target.namespace, "watch recovered");
        }
    }

    /// Counts a failure, logs it if it is another one than the last, and returns the pause before the next try.
    fn fail(&self, failure: &Failure, backoff: &mut Backoff<Failure>) -> Duration {
        self.metrics.count_error(self.target.kind);
        if backoff.fail(failure.clone()) {
            log(failure, &self.target);
        } else {
            debug!(kind = ?self.target.kind, namespace = self.target.namespace, ?failure, "watch still fails");
        }
        match failure {
            Failure::Missing => {
                self.liveness.confirm();
                MISSING_PAUSE.min(LONGEST_PAUSE)
            }
            // An API server that is back. Why it was gone says nothing about the next request.
            Failure::Expired(_) => {
                backoff.restart();
                backoff.pause()
            }
            Failure::Other(_) => backoff.pause(),
        }
    }
}

fn silent(silence: Duration) -> Interruption {
    Interruption::Failed(Failure::Other(format!("received nothing for {}s", silence.as_secs())))
}

fn log(failure: &Failure, target: &Target) {
    let (kind, namespace) = (target.kind, target.namespace.as_deref());
    match failure {
        Failure::Missing if kind == WatchedKind::GatewayTopology => error!(
            ?kind,
            "the kind is not installed, so every review is answered with 503: apply the output of `lockstep crd`"
        ),
        Failure::Missing => warn!(?kind, namespace, "the kind is not installed; retrying until it is"),
        Failure::Expired(failure) => {
            info!(?kind, namespace, error = failure, "watch expired; listing again");
        }
        Failure::Other(failure) => warn!(?kind, namespace, error = failure, "watch failed; retrying"),
    }
}

#[cfg(test)]
mod tests;
