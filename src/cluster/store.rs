//! Stores: the objects that watches have received, and the inventory of them.
//!
//! The inventory follows each update, so that one event costs the same in a large cluster as in a small one. Its properties
//! beyond single objects (pending namespaces, kinds that were read) are derived from the stores each time, so that they
//! are correct after any order of events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::warn;

use super::decode::Item;
use super::failure::Failure;
use super::kinds::{Reader, Target, WatchedKind, WhenMissing, targets};
use crate::assessment::Changes;
use crate::snapshot::{Declared, Inventory, ObjectKey, Source};

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
    /// The first list is not complete, and an attempt at it has failed: the objects are unknown, and may remain so.
    Refused,
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

    /// Whether the API server does not serve the kind.
    pub(super) fn is_missing(&self) -> bool {
        self.state == State::Missing
    }

    /// Applies `update`. Returns whether it changed anything; most updates, such as the heartbeats of nodes, change
    /// nothing that is kept.
    pub(super) fn apply(&mut self, update: Update<T>) -> bool {
        self.apply_with(update, &mut |_, _, _| {})
    }

    /// Applies `update`, and calls `differs` for each object that changed, with what was kept of it before and what is now.
    fn apply_with(
        &mut self,
        update: Update<T>,
        differs: &mut impl FnMut(&ObjectKey, Option<T>, Option<&T>),
    ) -> bool {
        match update {
            Update::Listed(listed) => self.replace(listed, differs),
            Update::Applied(key, object) => self.put(key, object, differs),
            Update::Deleted(key) => match self.objects.remove(&key) {
                Some(held) => {
                    differs(&key, Some(held), None);
                    true
                }
                None => false,
            },
            Update::Failed(Failure::Missing) => self.clear(differs),
            Update::Failed(_) => {
                let changed = self.state == State::Unknown;
                if changed {
                    self.state = State::Refused;
                }
                changed
            }
        }
    }

    fn put(
        &mut self,
        key: ObjectKey,
        object: T,
        differs: &mut impl FnMut(&ObjectKey, Option<T>, Option<&T>),
    ) -> bool {
        if self.objects.get(&key) == Some(&object) {
            return false;
        }
        let before = self.objects.remove(&key);
        differs(&key, before, Some(&object));
        self.objects.insert(key, object);
        true
    }

    /// Replaces the objects by a list. Unchanged objects stay the same values, because snapshots share them.
    fn replace(
        &mut self,
        listed: BTreeMap<ObjectKey, T>,
        differs: &mut impl FnMut(&ObjectKey, Option<T>, Option<&T>),
    ) -> bool {
        let mut changed = self.state != State::Known;
        self.state = State::Known;
        let gone: Vec<ObjectKey> =
            self.objects.keys().filter(|key| !listed.contains_key(*key)).cloned().collect();
        for key in gone {
            changed |= self.apply_with(Update::Deleted(key), differs);
        }
        for (key, object) in listed {
            changed |= self.put(key, object, differs);
        }
        changed
    }

    fn clear(&mut self, differs: &mut impl FnMut(&ObjectKey, Option<T>, Option<&T>)) -> bool {
        let changed = self.state != State::Missing;
        self.state = State::Missing;
        for (key, held) in std::mem::take(&mut self.objects) {
            differs(&key, Some(held), None);
        }
        changed
    }
}

/// The readers that an update concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// Whether it changed a topology, and thus, which objects are watched.
    pub(super) on_topologies: bool,
    /// Whether it changed what rules read.
    pub(super) on_rules: bool,
    /// Whether it changed what assessments read. They read everything.
    pub(super) on_assessments: bool,
}

impl Effect {
    /// The effect of a change of the kind.
    pub(super) fn of(kind: WatchedKind) -> Self {
        Self {
            on_topologies: kind == WatchedKind::GatewayTopology,
            on_rules: matches!(kind.reader(), Reader::Rules(_)),
            on_assessments: true,
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.on_topologies |= other.on_topologies;
        self.on_rules |= other.on_rules;
        self.on_assessments |= other.on_assessments;
    }
}

/// The stores of all watches of the inventory.
#[derive(Debug, Default)]
pub(super) struct Stores {
    watches: BTreeMap<WatchId, (Target, Store<Item>)>,
    ids: BTreeMap<Target, WatchId>,
    /// The number of objects of each kind, and how many of them are unusable. Pods of two topologies count twice.
    counts: BTreeMap<WatchedKind, (usize, usize)>,
    /// The objects of all stores. It is copied only if an older one is still in use.
    inventory: Arc<Inventory>,
    /// What follows from the states of the watches; `None` if they have changed since.
    progress: Option<Progress>,
    /// The changes that were not taken yet.
    changes: Changes,
}

/// The progress of all watches that the topologies need.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the first answer to a list is awaited, which may change everything.
    is_settling: bool,
    lacks_snapshot: bool,
    lacks_metallb: bool,
    pending: BTreeSet<String>,
    unread: BTreeSet<Source>,
}

impl Stores {
    /// Adds an empty store for a new watch.
    pub(super) fn open(&mut self, watch: WatchId, target: Target) {
        self.progress = None;
        self.ids.insert(target.clone(), watch);
        self.watches.insert(watch, (target, Store::default()));
    }

    /// Discards the store of a watch.
    pub(super) fn close(&mut self, watch: WatchId) {
        self.progress = None;
        if let Some((target, store)) = self.watches.remove(&watch) {
            self.ids.remove(&target);
            for (key, item) in store.objects {
                self.take_over(target.kind, &key, Some(&item), None);
            }
        }
    }

    /// Gives the store of a watch to its replacement. Its objects count as unknown until the new watch has received a
    /// list, but stay in the store, so that the targets of topologies stay the same.
    pub(super) fn reopen(&mut self, watch: WatchId, next: WatchId) {
        self.progress = None;
        if let Some((target, store)) = self.watches.remove(&watch) {
            self.ids.insert(target.clone(), next);
            self.watches.insert(next, (target, Store { state: State::Unknown, ..store }));
        }
    }

    /// Whether the watch has received a list, or the response that the API server does not serve the kind.
    pub(super) fn is_known(&self, watch: WatchId) -> bool {
        self.watches
            .get(&watch)
            .is_some_and(|(_, store)| matches!(store.state, State::Known | State::Missing))
    }

    /// Applies an update of a watch. Returns what it changed. An update of a closed watch is dropped.
    pub(super) fn apply(&mut self, watch: WatchId, update: Update) -> Effect {
        let Some((target, store)) = self.watches.get_mut(&watch) else {
            return Effect::default();
        };
        warn_of_problems(target, store, &update);
        let (kind, before) = (target.kind, store.state);
        let mut differences = Vec::new();
        let changed = store.apply_with(update, &mut |key, before, after| {
            differences.push((key.clone(), before, after.cloned()));
        });
        if store.state != before || kind == WatchedKind::GatewayTopology {
            self.progress = None;
        }
        for (key, before, after) in differences {
            self.take_over(kind, &key, before.as_ref(), after.as_ref());
        }
        if changed { Effect::of(kind) } else { Effect::default() }
    }

    /// Takes a difference of one store over into the inventory. An object that another watch of the kind holds, too, stays.
    fn take_over(&mut self, kind: WatchedKind, key: &ObjectKey, before: Option<&Item>, after: Option<&Item>) {
        let count = |item: Option<&Item>| {
            (usize::from(item.is_some()), usize::from(matches!(item, Some(Item::Unusable(_)))))
        };
        let (all, unusable) = self.counts.entry(kind).or_default();
        let ((gone, gone_unusable), (new, new_unusable)) = (count(before), count(after));
        *all = all.saturating_add(new).saturating_sub(gone);
        *unusable = unusable.saturating_add(new_unusable).saturating_sub(gone_unusable);

        Item::add_change(key, before, after, &mut self.changes);
        let inventory = Arc::make_mut(&mut self.inventory);
        if let Some(before) = before {
            before.remove_from(key, inventory);
        }
        if let Some(after) = after {
            after.insert_into(key, inventory);
        } else if matches!(before, Some(Item::Pod(..) | Item::L2Status(_))) {
            // The pod may have the labels of another topology, and another report may name the same node.
            let stores = self.watches.values().filter(|(target, _)| target.kind == kind);
            let same = stores.flat_map(|(_, store)| &store.objects).filter(|(other, held)| match held {
                Item::L2Status(_) => Some(*held) == before,
                _ => *other == key,
            });
            same.for_each(|(key, held)| held.insert_into(key, inventory));
        }
    }

    /// The usable topologies, by name.
    pub(super) fn topologies(&self) -> impl Iterator<Item = (&str, &Declared)> {
        self.inventory.topologies.iter().map(|(name, declared)| (name.as_str(), declared))
    }

    /// All targets to watch.
    pub(super) fn wanted(&self) -> BTreeSet<Target> {
        targets(self.topologies().map(|(_, declared)| &declared.spec))
    }

    /// The inventory; `None` while a kind is unknown without which there is no snapshot.
    pub(super) fn inventory(&mut self) -> Option<Arc<Inventory>> {
        let progress = self.progress.take().unwrap_or_else(|| self.progress());
        let mut unread = progress.unread.clone();
        unread.extend(self.without_speakers());
        let read = Source::ALL.into_iter().filter(|source| !unread.contains(source)).collect();
        let metallb = self.inventory.inferred_settings();
        let held = &self.inventory;
        if (&held.pending, held.lacks_metallb, &held.read, held.metallb)
            != (&progress.pending, progress.lacks_metallb, &read, metallb)
        {
            let inventory = Arc::make_mut(&mut self.inventory);
            (inventory.pending, inventory.lacks_metallb) = (progress.pending.clone(), progress.lacks_metallb);
            (inventory.read, inventory.metallb) = (read, metallb);
        }
        let inventory = (!progress.lacks_snapshot).then(|| Arc::clone(&self.inventory));
        self.progress = Some(progress);
        inventory
    }

    fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for target in self.wanted() {
            progress.is_settling |= self.state(&target) == State::Unknown;
            match (self.state(&target), target.kind.reader(), target.namespace) {
                (State::Missing, Reader::Rules(WhenMissing::NoSnapshot), _)
                | (State::Unknown | State::Refused, Reader::Rules(_), None) => progress.lacks_snapshot = true,
                (State::Missing, Reader::Rules(WhenMissing::LacksMetallb), _) => {
                    progress.lacks_metallb = true;
                }
                (State::Unknown | State::Refused, Reader::Rules(_), Some(namespace)) => {
                    progress.pending.insert(namespace);
                }
                (State::Unknown | State::Refused, Reader::Assessments, _) => {
                    progress.unread.extend(target.kind.source());
                }
                (State::Known | State::Missing, ..) => {}
            }
        }
        progress
    }

    /// The inventory, and the changes since the last call. `None` while the first answer to a list is awaited: what is read a
    /// moment later is not unknown.
    pub(super) fn settled(&mut self) -> Option<(Arc<Inventory>, Changes)> {
        let inventory = self.whole_state()?;
        Some((inventory, std::mem::take(&mut self.changes)))
    }

    /// The inventory, unless the first answer to a list is awaited. The changes since the last call of [`Self::settled`] stay.
    pub(super) fn whole_state(&mut self) -> Option<Arc<Inventory>> {
        let inventory = self.inventory()?;
        let is_settling = self.progress.as_ref().is_some_and(|progress| progress.is_settling);
        (!is_settling).then_some(inventory)
    }

    /// The source of speakers, if there are pods in MetalLB's namespace and none of them looks like a speaker.
    fn without_speakers(&self) -> Option<Source> {
        let (pods, _) = self.count(WatchedKind::Speaker);
        (pods > 0 && self.inventory.speakers.is_empty()).then_some(Source::Speakers)
    }

    /// The number of objects of the kind, and how many of them are unusable. Pods of two topologies count twice.
    pub(super) fn count(&self, kind: WatchedKind) -> (usize, usize) {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// The state of the watch of `target`. A target without a watch is unknown, too.
    fn state(&self, target: &Target) -> State {
        let watch = self.ids.get(target).and_then(|id| self.watches.get(id));
        watch.map_or(State::Unknown, |(_, store)| store.state)
    }
}

/// Logs every object of `update` that is unusable or not wholly known, unless it was so before.
fn warn_of_problems(target: &Target, store: &Store<Item>, update: &Update) {
    let warn = |key: &ObjectKey, item: &Item| {
        let (kind, namespace, name) = (target.kind, target.namespace.as_deref(), &key.name);
        let before = store.objects.get(key);
        match item {
            Item::Unusable(problem) if before != Some(item) => {
                warn!(?kind, namespace, name, problem, "ignoring an object that cannot be used");
            }
            Item::Topology(_, pruned)
                if !pruned.is_empty()
                    && !matches!(before, Some(Item::Topology(_, before)) if before == pruned) =>
            {
                let fields: Vec<String> = pruned.iter().map(ToString::to_string).collect();
                let fields = fields.join(", ");
                warn!(?kind, name, fields, "ignoring fields that only a later release knows");
            }
            _ => {}
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
