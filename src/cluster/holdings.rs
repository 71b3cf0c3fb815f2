//! What all watches hold, and the inventory that follows from it.
//!
//! Everything an inventory says beyond single objects (what is pending, what is missing) is derived here from
//! the state of the watches, so that no order of events can leave it wrong.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use super::Watched;
use super::item::Item;
use super::listing::Report;
use super::target::{Target, WatchId, targets};
use crate::snapshot::{Declared, Inventory, ObjectKey};

/// What all watches hold.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    watches: BTreeMap<WatchId, Held>,
}

/// What one watch holds.
#[derive(Debug)]
struct Held {
    target: Target,
    state: State,
    items: BTreeMap<ObjectKey, Item>,
}

/// How far a watch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its first list is under way.
    Unknown,
    /// It has delivered a list.
    Known,
    /// The API server does not know the kind.
    Missing,
}

impl Holdings {
    /// Makes room for what a new watch will hold.
    pub(super) fn open(&mut self, watch: WatchId, target: Target) {
        let held = Held { target, state: State::Unknown, items: BTreeMap::new() };
        self.watches.insert(watch, held);
    }

    /// Forgets what a watch held.
    pub(super) fn close(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
    }

    /// Goes on under another watch. What was held is no longer known to be so until that one has delivered a
    /// list; it stays all the same, so that what topologies want of the other watches stays as it is.
    pub(super) fn reopen(&mut self, watch: WatchId, next: WatchId) {
        if let Some(held) = self.watches.remove(&watch) {
            self.watches.insert(next, Held { state: State::Unknown, ..held });
        }
    }

    /// Whether the watch has delivered what it is about, or that there is no such kind.
    pub(super) fn is_known(&self, watch: WatchId) -> bool {
        self.watches.get(&watch).is_some_and(|held| held.state != State::Unknown)
    }

    /// Takes a report in, and says whether anything is different now. Most reports are about nothing that is
    /// kept: every heartbeat of a node is one.
    pub(super) fn apply(&mut self, watch: WatchId, report: Report) -> bool {
        let Some(held) = self.watches.get_mut(&watch) else {
            return false;
        };
        match report {
            Report::Listed(items) => held.replace(items),
            Report::Applied(key, item) => held.put(key, item),
            Report::Deleted(key) => held.items.remove(&key).is_some(),
            Report::Missing => held.lose(),
        }
    }

    /// The usable topologies, by name.
    pub(super) fn topologies(&self) -> impl Iterator<Item = (&str, &Declared)> {
        self.items(Watched::GatewayTopology).filter_map(|(key, item)| match item {
            Item::Topology(declared) => Some((key.name.as_str(), declared.as_ref())),
            _ => None,
        })
    }

    /// What must be watched.
    pub(super) fn wanted(&self) -> BTreeSet<Target> {
        targets(self.topologies().map(|(_, declared)| &declared.spec))
    }

    /// Everything a snapshot is made of; `None` while nodes or topologies are not known.
    pub(super) fn inventory(&self) -> Option<Inventory> {
        let wanted = self.wanted();
        let mut inventory = Inventory::default();
        for target in &wanted {
            match (self.state(target), &target.namespace) {
                (State::Known, _) => {}
                (State::Unknown | State::Missing, None) => return None,
                (State::Unknown, Some(namespace)) => {
                    inventory.pending.insert(namespace.clone());
                }
                // It holds nothing, and that is known.
                (State::Missing, Some(_)) => inventory.lacks_metallb |= target.kind.is_metallb(),
            }
        }
        for (key, item) in self.watches.values().flat_map(|held| &held.items) {
            put(&mut inventory, key, item);
        }
        Some(inventory)
    }

    /// How many objects of the kind are held, and how many of them cannot be used. Pods that two topologies
    /// select count twice.
    pub(super) fn count(&self, kind: Watched) -> (usize, usize) {
        let unusable = self.items(kind).filter(|(_, item)| matches!(item, Item::Unusable(_))).count();
        (self.items(kind).count(), unusable)
    }

    fn items(&self, kind: Watched) -> impl Iterator<Item = (&ObjectKey, &Item)> {
        self.watches.values().filter(move |held| held.target.kind == kind).flat_map(|held| &held.items)
    }

    /// A target that nothing watches yet is unknown, too.
    fn state(&self, target: &Target) -> State {
        self.watches.values().find(|held| held.target == *target).map_or(State::Unknown, |held| held.state)
    }
}

impl Held {
    fn put(&mut self, key: ObjectKey, item: Item) -> bool {
        if self.items.get(&key) == Some(&item) {
            return false;
        }
        self.warn_of(&key, &item);
        self.items.insert(key, item);
        true
    }

    /// Whatever is not listed is gone. What is as it was stays the very same, because snapshots share it.
    fn replace(&mut self, listed: BTreeMap<ObjectKey, Item>) -> bool {
        let mut changed = self.state != State::Known || self.items.len() != listed.len();
        self.state = State::Known;
        let mut before = std::mem::take(&mut self.items);
        for (key, item) in listed {
            match before.remove_entry(&key) {
                Some((key, held)) if held == item => {
                    self.items.insert(key, held);
                }
                _ => changed |= self.put(key, item),
            }
        }
        changed
    }

    fn lose(&mut self) -> bool {
        let changed = self.state != State::Missing;
        self.state = State::Missing;
        self.items.clear();
        changed
    }

    fn warn_of(&self, key: &ObjectKey, item: &Item) {
        if let Item::Unusable(problem) = item {
            let (kind, namespace) = (self.target.kind, self.target.namespace.as_deref());
            warn!(?kind, namespace, name = key.name, problem, "the object cannot be used and is left out");
        }
    }
}

fn put(inventory: &mut Inventory, key: &ObjectKey, item: &Item) {
    let (key, name) = (|| key.clone(), || key.name.clone());
    match item {
        Item::Node(labels) => drop(inventory.nodes.insert(name(), labels.clone())),
        Item::Topology(declared) => drop(inventory.topologies.insert(name(), declared.as_ref().clone())),
        Item::Service(service) => drop(inventory.services.insert(key(), service.as_ref().clone())),
        Item::Pod(labels) => drop(inventory.pods.insert(key(), labels.clone())),
        Item::Pool(labels) => drop(inventory.pools.insert(key(), labels.clone())),
        Item::Advertisement(spec) => drop(inventory.advertisements.insert(key(), spec.as_ref().clone())),
        Item::Unusable(_) => {}
    }
}

#[cfg(test)]
mod tests;
