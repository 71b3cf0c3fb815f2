//! The state of a cluster, followed: a watch of every list that an assessment reads.
//!
//! Each watch keeps what its objects state, one by one, so that an event which changes nothing that an assessment reads,
//! such as a node's heartbeat, is no change of the state. kube's watcher lists again where changes were missed, and
//! renews a watch that breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::{ClusterState, Listed, Listing, PAGE, StateError, add_object, code, metallb_kinds};
use crate::cluster::failure;
use crate::cluster::watch_loop::WATCH_SECONDS;
use crate::snapshot::{Inventory, ObjectKey};
use crate::topology::GatewayTopologySpec;

/// The time for which changes are collected, so that a rollout is a few states and not hundreds.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// The interval at which the kinds that the cluster serves are read again: MetalLB may be installed meanwhile.
const KINDS_EVERY: Duration = Duration::from_secs(60);

/// The number of events that may wait while a state is built.
const WAITING_EVENTS: usize = 1024;

/// A report of the follower.
#[derive(Debug)]
pub enum Followed {
    /// The state after a change.
    State(Box<ClusterState>),
    /// A watch failed, and is renewed: one sentence. Until then, its objects are those of before. Watches that fail
    /// meanwhile are not reported, because the cause is one.
    Broken(String),
}

/// Watches of everything that an assessment reads.
pub struct Follower {
    client: Client,
    only: Option<String>,
    also: Vec<GatewayTopologySpec>,
    kinds: Option<BTreeSet<String>>,
    next_kinds: tokio::time::Interval,
    watches: BTreeMap<Listing, Watch>,
    sender: mpsc::Sender<(Listing, Received)>,
    events: mpsc::Receiver<(Listing, Received)>,
    /// The watches that failed, and of which no event came since.
    failing: BTreeSet<Listing>,
    /// When the changes since the last state are reported; `None` without any.
    due: Option<Instant>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("watches", &self.watches).finish_non_exhaustive()
    }
}

type Received = Result<Event<DynamicObject>, watcher::Error>;

/// The facts of one object, or the reason why it cannot be used.
type Statement = Result<Inventory, String>;

/// One watch.
#[derive(Debug)]
struct Watch {
    status: Status,
    objects: BTreeMap<ObjectKey, Statement>,
    /// The objects of a list that is not complete yet.
    listed: BTreeMap<ObjectKey, Statement>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// No list is complete yet.
    Pending,
    Current,
    Forbidden,
    NotServed,
}

impl Follower {
    /// Starts to follow a cluster. The arguments are those of [`read`](super::read).
    ///
    /// # Errors
    /// [`StateError::Failed`], if the API server does not answer.
    pub async fn start(
        client: Client,
        only: Option<&str>,
        also: &[&GatewayTopologySpec],
    ) -> Result<Self, StateError> {
        let kinds = metallb_kinds(&client).await?;
        let (sender, events) = mpsc::channel(WAITING_EVENTS);
        let now = Instant::now();
        let mut next_kinds = interval_at(now.checked_add(KINDS_EVERY).unwrap_or(now), KINDS_EVERY);
        next_kinds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut follower = Self {
            client,
            only: only.map(str::to_owned),
            also: also.iter().map(|topology| (*topology).clone()).collect(),
            kinds,
            next_kinds,
            watches: BTreeMap::new(),
            sender,
            events,
            failing: BTreeSet::new(),
            due: None,
        };
        follower.watch(Listing::topologies());
        Ok(follower)
    }

    /// Waits for the next report. It is safe to drop the future before it is ready.
    ///
    /// # Errors
    /// [`StateError::TopologiesForbidden`].
    pub async fn next(&mut self) -> Result<Followed, StateError> {
        loop {
            let due = self.due.filter(|_| self.is_complete());
            tokio::select! {
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    self.due = None;
                    if let Some(state) = self.state()? {
                        return Ok(Followed::State(Box::new(state)));
                    }
                }
                _ = self.next_kinds.tick() => {
                    // A failure is reported by the watches.
                    if let Ok(kinds) = metallb_kinds(&self.client).await && kinds != self.kinds {
                        self.kinds = kinds;
                        self.change();
                    }
                }
                Some((listing, received)) = self.events.recv() => {
                    if let Some(broken) = self.receive(&listing, received) {
                        return Ok(Followed::Broken(broken));
                    }
                }
            }
        }
    }

    /// Whether each watch has received a list, or a refusal.
    fn is_complete(&self) -> bool {
        self.watches.values().all(|watch| watch.status != Status::Pending)
    }

    fn change(&mut self) {
        let now = Instant::now();
        self.due.get_or_insert(now.checked_add(DEBOUNCE).unwrap_or(now));
    }

    /// Applies an event. Returns the failure to report.
    fn receive(&mut self, listing: &Listing, received: Received) -> Option<String> {
        // An event of a watch that has ended may still have waited.
        let watch = self.watches.get_mut(listing)?;
        let state = |object: DynamicObject| {
            let key =
                ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            (key, statement(listing, &object))
        };
        let is_change = match received {
            Ok(Event::Init) => {
                watch.listed.clear();
                false
            }
            Ok(Event::InitApply(object)) => {
                let (key, statement) = state(object);
                watch.listed.insert(key, statement);
                false
            }
            Ok(Event::InitDone) => {
                let before = std::mem::replace(&mut watch.objects, std::mem::take(&mut watch.listed));
                let was = std::mem::replace(&mut watch.status, Status::Current);
                was != Status::Current || before != watch.objects
            }
            Ok(Event::Apply(object)) => {
                let (key, statement) = state(object);
                let before = watch.objects.insert(key, statement.clone());
                before != Some(statement)
            }
            Ok(Event::Delete(object)) => watch.objects.remove(&state(object).0).is_some(),
            Err(error) => match refusal(&error) {
                Ok(Some(status)) => {
                    watch.objects.clear();
                    std::mem::replace(&mut watch.status, status) != status
                }
                Ok(None) => false,
                Err(words) => {
                    let is_first = self.failing.is_empty();
                    self.failing.insert(listing.clone());
                    return is_first
                        .then(|| format!("the watch of {} failed and is renewed: {words}", listing.what()));
                }
            },
        };
        self.failing.remove(listing);
        if is_change {
            self.change();
        }
        None
    }

    /// The state, or `None` if the topologies need other watches, which have no list yet.
    fn state(&mut self) -> Result<Option<ClusterState>, StateError> {
        let topologies = self.watches.get(&Listing::topologies()).map(Watch::listed);
        let only = self.only.as_deref();
        let mut state = ClusterState::of_topologies(topologies.unwrap_or(Listed::NotServed), only)?;
        let wanted = state.listings(&self.also.iter().collect::<Vec<_>>());
        let (served, unserved): (BTreeSet<Listing>, BTreeSet<Listing>) =
            wanted.into_iter().partition(|listing| listing.is_served(self.kinds.as_ref()));
        self.watches.retain(|listing, _| listing.source.is_none() || served.contains(listing));
        self.failing.retain(|listing| self.watches.contains_key(listing));
        for listing in &served {
            if !self.watches.contains_key(listing) {
                self.watch(listing.clone());
            }
        }
        if !self.is_complete() {
            self.change();
            return Ok(None);
        }
        let unserved = unserved.into_iter().map(|listing| (listing, Listed::NotServed));
        let watched = self.watches.iter().map(|(listing, watch)| (listing.clone(), watch.listed()));
        state.take(watched.chain(unserved).collect(), &["list", "watch"]);
        state.metallb_kinds = self.kinds.clone().unwrap_or_default();
        Ok(Some(state))
    }

    /// Starts a watch.
    fn watch(&mut self, listing: Listing) {
        let (group, version) = (listing.resource.group, listing.resource.version);
        let kind = GroupVersionKind::gvk(group, version, listing.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, listing.resource.plural);
        let client = self.client.clone();
        let api: Api<DynamicObject> = match &listing.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let (sender, of) = (self.sender.clone(), listing.clone());
        let task = tokio::spawn(async move {
            // Shorter than the client's limit for silence, so that a watch without events ends and does not fail.
            let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
            let mut events = pin!(watcher(api, config).default_backoff());
            while let Some(event) = events.next().await {
                if sender.send((of.clone(), event)).await.is_err() {
                    return;
                }
            }
        });
        let watch = Watch {
            status: Status::Pending,
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
            _task: AbortOnDropHandle::new(task),
        };
        self.watches.insert(listing, watch);
    }
}

impl Watch {
    /// The objects of the watch, as a list that was read.
    fn listed(&self) -> Listed {
        match self.status {
            Status::Forbidden => Listed::Forbidden,
            Status::NotServed => Listed::NotServed,
            Status::Pending | Status::Current => {
                let (mut inventory, mut problems) = (Inventory::default(), Vec::new());
                for statement in self.objects.values() {
                    match statement {
                        Ok(stated) => inventory.absorb(stated.clone()),
                        Err(problem) => problems.push(problem.clone()),
                    }
                }
                Listed::Objects { inventory: Box::new(inventory), problems, count: self.objects.len() }
            }
        }
    }
}

fn statement(listing: &Listing, object: &DynamicObject) -> Statement {
    let mut inventory = Inventory::default();
    let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
    add_object(&mut inventory, listing, object)?;
    Ok(inventory)
}

/// The meaning of an error for a kind: it is refused or not served. `None` where the watch only starts over with a list,
/// because the API server no longer knows the changes since its version (410). Else the failure, in words.
fn refusal(error: &watcher::Error) -> Result<Option<Status>, String> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let (code, words) = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            (code(error), failure::words(error))
        }
        WatchError(status) => (Some(status.code), status.message.clone()),
        NoResourceVersion => (None, error.to_string()),
    };
    match code {
        Some(403) => Ok(Some(Status::Forbidden)),
        Some(404) => Ok(Some(Status::NotServed)),
        Some(410) => Ok(None),
        _ => Err(words),
    }
}
