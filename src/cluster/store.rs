//! Stores: the objects that watches have received, and the inventory that is derived from them.
//!
//! The properties of an inventory beyond single objects (pending namespaces, missing kinds) are derived from the
//! stores each time, so that they are correct after any order of events.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use super::decode::Item;
use super::failure::Failure;
use super::kinds::{Target, WatchedKind, WhenMissing, targets};
use crate::snapshot::{Declared, Inventory, ObjectKey};

/// One run of a watch. Ids are never reused, so that a late update of a stopped watch finds no store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatchId(pub(super) u64);

/// An update from a watch.
#[derive(Debug, PartialEq)]
pub(super) enum Update<T = Item> {
    /// A complete list. An object that is not in it does not exist.
    Listed(BTreeMap<ObjectKey, T>),
    /// One object was created or changed.
    Applied(ObjectKey, T),
    /// One object was deleted.
    Deleted(ObjectKey),
    /// The watch failed and will be retried.
    Failed(Failure),
}

/// The objects of one watch.
#[derive(Debug)]
pub(super) struct Store<T> {
    state: State,
    objects: BTreeMap<ObjectKey, T>,
}

/// The progress of a watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The first list is not complete.
    #[default]
    Unknown,
    /// The watch has received a list.
    Known,
    /// The API server does not serve the kind.
    Missing,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { state: State::default(), objects: BTreeMap::new() }
    }
}

impl<T: PartialEq> Store<T> {
    /// The objects; `None` before the first list and while the API server does not serve the kind.
    pub(super) fn known(&self) -> Option<&BTreeMap<ObjectKey, T>> {
        (self.state == State::Known).then_some(&self.objects)
    }

    /// Applies `update`. Returns whether it changed anything; most updates, such as the heartbeats of nodes, change
    /// nothing that is kept.
    pub(super) fn apply(&mut self, update: Update<T>) -> bool {
        match update {
            Update::Listed(listed) => self.replace(listed),
            Update::Applied(key, object) => self.put(key, object),
            Update::Deleted(key) => self.objects.remove(&key).is_some(),
            Update::Failed(Failure::Missing) => self.clear(),
            Update::Failed(_) => false,
        }
    }

    fn put(&mut self, key: ObjectKey, object: T) -> bool {
        if self.objects.get(&key) == Some(&object) {
            return false;
        }
        self.objects.insert(key, object);
        true
    }

    /// Replaces the objects by a list. Unchanged objects stay the same values, because snapshots share them.
    fn replace(&mut self, listed: BTreeMap<ObjectKey, T>) -> bool {
        let mut changed = self.state != State::Known || self.objects.len() != listed.len();
        self.state = State::Known;
        let mut before = std::mem::take(&mut self.objects);
        for (key, object) in listed {
            match before.remove_entry(&key) {
                Some((key, held)) if held == object => {
                    self.objects.insert(key, held);
                }
                _ => changed |= self.put(key, object),
            }
        }
        changed
    }

    fn clear(&mut self) -> bool {
        let changed = self.state != State::Missing;
        self.state = State::Missing;
        self.objects.clear();
        changed
    }
}

/// The stores of all watches for a snapshot.
#[derive(Debug, Default)]
pub(super) struct Stores {
    watches: BTreeMap<WatchId, (Target, Store<Item>)>,
}

impl Stores {
    /// Adds an empty store for a new watch.
    pub(super) fn open(&mut self, watch: WatchId, target: Target) {
        self.watches.insert(watch, (target, Store::default()));
    }

    /// Discards the store of a watch.
    pub(super) fn close(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
    }

    /// Gives the store of a watch to its replacement. Its objects count as unknown until the new watch has received a
    /// list, but stay in the store, so that the targets of topologies stay the same.
    pub(super) fn reopen(&mut self, watch: WatchId, next: WatchId) {
        if let Some((target, store)) = self.watches.remove(&watch) {
            self.watches.insert(next, (target, Store { state: State::Unknown, ..store }));
        }
    }

    /// Whether the watch has received a list, or the response that the API server does not serve the kind.
    pub(super) fn is_known(&self, watch: WatchId) -> bool {
        self.watches.get(&watch).is_some_and(|(_, store)| store.state != State::Unknown)
    }

    /// Applies an update of a watch. Returns whether it changed anything. An update of a closed watch is dropped.
    pub(super) fn apply(&mut self, watch: WatchId, update: Update) -> bool {
        let Some((target, store)) = self.watches.get_mut(&watch) else {
            return false;
        };
        warn_of_unusable(target, store, &update);
        store.apply(update)
    }

    /// The usable topologies, by name.
    pub(super) fn topologies(&self) -> impl Iterator<Item = (&str, &Declared)> {
        self.items(WatchedKind::GatewayTopology).filter_map(|(key, item)| match item {
            Item::Topology(declared) => Some((key.name.as_str(), declared.as_ref())),
            _ => None,
        })
    }

    /// All targets to watch.
    pub(super) fn wanted(&self) -> BTreeSet<Target> {
        targets(self.topologies().map(|(_, declared)| &declared.spec))
    }

    /// The inventory of a snapshot; `None` while a kind is unknown without which there is no snapshot.
    pub(super) fn inventory(&self) -> Option<Inventory> {
        let mut inventory = Inventory::default();
        for target in &self.wanted() {
            match (self.state(target), target.kind.when_missing(), &target.namespace) {
                (State::Known, _, _) | (State::Missing, WhenMissing::Empty, _) => {}
                (State::Missing, WhenMissing::NoSnapshot, _) | (State::Unknown, _, None) => return None,
                (State::Missing, WhenMissing::LacksMetallb, _) => inventory.lacks_metallb = true,
                (State::Unknown, _, Some(namespace)) => {
                    inventory.pending.insert(namespace.clone());
                }
            }
        }
        for (key, item) in self.watches.values().flat_map(|(_, store)| &store.objects) {
            item.insert_into(key, &mut inventory);
        }
        Some(inventory)
    }

    /// The number of objects of the kind, and how many of them are unusable. Pods of two topologies count twice.
    pub(super) fn count(&self, kind: WatchedKind) -> (usize, usize) {
        let unusable = self.items(kind).filter(|(_, item)| matches!(item, Item::Unusable(_))).count();
        (self.items(kind).count(), unusable)
    }

    fn items(&self, kind: WatchedKind) -> impl Iterator<Item = (&ObjectKey, &Item)> {
        self.watches
            .values()
            .filter(move |(target, _)| target.kind == kind)
            .flat_map(|(_, store)| &store.objects)
    }

    /// The state of the watch of `target`. A target without a watch is unknown, too.
    fn state(&self, target: &Target) -> State {
        let watch = self.watches.values().find(|(watched, _)| watched == target);
        watch.map_or(State::Unknown, |(_, store)| store.state)
    }
}

/// Logs every unusable object of `update`, unless it was unusable before for the same reason.
fn warn_of_unusable(target: &Target, store: &Store<Item>, update: &Update) {
    let warn = |key: &ObjectKey, item: &Item| {
        let Item::Unusable(problem) = item else { return };
        if store.objects.get(key) != Some(item) {
            let (kind, namespace) = (target.kind, target.namespace.as_deref());
            warn!(?kind, namespace, name = key.name, problem, "ignoring an object that cannot be used");
        }
    };
    match update {
        Update::Listed(listed) => listed.iter().for_each(|(key, item)| warn(key, item)),
        Update::Applied(key, item) => warn(key, item),
        Update::Deleted(_) | Update::Failed(_) => {}
    }
}

#[cfg(test)]
mod tests;
