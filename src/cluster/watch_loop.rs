//! The watch loop: list, watch, and start over, in one task per watch.
//!
//! Invariants:
//! * Updates are sent in the order in which the API server made the changes. The first one of a task is a complete
//!   list or a failure.
//! * A watch resumes at the version of the last event. If that could hide a change, because the version is too old or
//!   an event was an error or could not be decoded, the task lists again.
//! * [`Liveness`] is confirmed only by the signs that its module lists.
//! * At most one page of a list or one event is held as whole objects: each is decoded, and its raw form dropped.
//! * The task never ends by itself while its updates are received. Every failure is counted, logged once, and retried
//!   after a pause.

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
use super::kinds::{Reader, Target, WatchedKind};
use super::liveness::{Liveness, with_broken_connections};
use super::metrics::WatchMetrics;
use super::store::{Update, WatchId};
use crate::snapshot::ObjectKey;

/// The maximum duration of one watch request, in seconds. One request a minute costs the API server nothing, and the
/// end of each confirms liveness.
pub(super) const WATCH_SECONDS: u32 = 60;

/// The time after the end of a watch request at which a connection without events counts as dead.
const GRACE: Duration = Duration::from_secs(5);

/// The time by which a watch may end early and still count as ended in time, because clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// A watch that ends sooner than this without an event counts as a failure. Otherwise the loop would overload an API
/// server that ends every watch at once.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// The maximum number of objects in one page of a list: the page size of kubectl and client-go.
const PAGE: u32 = 500;

/// The pause before a missing kind is listed again. After an installation, users wait that long, and requests about
/// the kind are rejected meanwhile; the API server retries those for about as long.
const MISSING_PAUSE: Duration = Duration::from_secs(2);

/// The pause before a kind that only assessments read is listed again, if the API server does not serve it. Most clusters
/// lack one: MetalLB's kinds differ from version to version.
const OPTIONAL_PAUSE: Duration = Duration::from_secs(30);

/// The maximum pause between two attempts. A recovered API server is used again after at most this time, because
/// objects may have become stale during the outage. A request per watch every few seconds is a small load, unless there
/// are hundreds of watches.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The time between two attempts of all watches together during a long outage. More attempts would hold up an API server
/// that starts again.
const PAUSE_PER_WATCH: Duration = Duration::from_millis(50);

/// The maximum pause between two attempts, however many watches there are: that of client-go.
const LONGEST_SHARED_PAUSE: Duration = Duration::from_secs(30);

/// A watch that is ready to run.
pub(super) struct WatchLoop<T = Item> {
    pub(super) id: WatchId,
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) updates: mpsc::Sender<(WatchId, Update<T>)>,
    /// Decodes the part of an object that is kept.
    pub(super) decode: fn(WatchedKind, ReceivedObject) -> T,
    /// The duration of one watch request, in seconds.
    pub(super) lasts: u32,
    pub(super) liveness: Liveness,
    pub(super) metrics: WatchMetrics,
}

/// The form in which objects are requested: whole, or metadata only.
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

/// The reason why a list or a watch ended early.
enum Interruption {
    /// The receiver of updates is gone.
    Closed,
    Failed(Failure),
}

impl From<kube::Error> for Interruption {
    fn from(error: kube::Error) -> Self {
        Self::Failed(Failure::from(&error))
    }
}

impl<T: Send + 'static> WatchLoop<T> {
    /// Runs while the updates are received. Returns the kind, for the error message.
    pub(super) async fn run(self) -> WatchedKind {
        // The futures are boxed, because they are large and differ in size.
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
    /// The list is read from the quorum, because a cache that lags could undo changes that were already received.
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
        // Without a version, no watch can start.
        let failure = || Interruption::Failed(Failure::Other("the list has no resourceVersion".to_owned()));
        let version = version.ok_or_else(failure)?;
        self.succeed(backoff);
        self.send(Update::Listed(listed)).await?;
        Ok(version)
    }

    /// Watches until the API server ends the watch. `version` follows the events, and is removed if only a list can
    /// restore the state.
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
                    // A broken connection loses no event: the next watch sends the missing ones.
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

    /// Records that all changes up to now were received.
    fn succeed(&self, backoff: &mut Backoff<Failure>) {
        self.liveness.confirm();
        if backoff.succeed() {
            info!(kind = ?self.target.kind, namespace = self.target.namespace, "watch recovered");
        }
    }

    /// Counts a failure, logs it if it differs from the last one, and returns the pause before the next attempt.
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
                match self.target.kind.reader() {
                    Reader::Rules(_) => MISSING_PAUSE,
                    Reader::Assessments => OPTIONAL_PAUSE,
                }
            }
            // The API server answers again. The cause of its outage does not affect the next request.
            Failure::Expired(_) => {
                backoff.restart();
                backoff.pause()
            }
            // Each watch of the same receiver holds a sender, and all of them retry during an outage.
            Failure::Other(_) => backoff.pause_within(longest_pause(self.updates.strong_count())),
        }
    }
}

/// The maximum pause between two attempts of each of so many watches.
fn longest_pause(watches: usize) -> Duration {
    let watches = u32::try_from(watches).unwrap_or(u32::MAX);
    PAUSE_PER_WATCH.saturating_mul(watches).clamp(LONGEST_PAUSE, LONGEST_SHARED_PAUSE)
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
        Failure::Missing if kind.reader() == Reader::Assessments => {
            debug!(?kind, namespace, "the kind is not installed");
        }
        Failure::Missing => warn!(?kind, namespace, "the kind is not installed; retrying until it is"),
        Failure::Expired(failure) => {
            info!(?kind, namespace, error = failure, "watch expired; listing again");
        }
        Failure::Other(failure) => warn!(?kind, namespace, error = failure, "watch failed; retrying"),
    }
}

#[cfg(test)]
mod tests;
