//! The nodes of an election, by position.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::labels::{Labels, Selector};
use crate::objects::NodeState;
use crate::snapshot::{Inventory, Nodes, Source};

/// The label that keeps a node from announcing, with any value.
pub(crate) const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// A set of nodes by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeSet(Vec<u64>);

impl NodeSet {
    pub(crate) fn insert(&mut self, position: usize) {
        let (word, bit) = (position / 64, position % 64);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(held) = self.0.get_mut(word) {
            *held |= 1 << bit;
        }
    }

    pub(crate) fn contains(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, another)| one & another).collect())
    }

    /// Adds the nodes of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (held, added) in self.0.iter_mut().zip(&other.0) {
            *held |= added;
        }
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

/// The nodes with a live speaker of the MetalLB in `namespace`; `None` if speakers were not read.
pub(crate) fn live_speakers(namespace: &str, inventory: &Inventory) -> Option<NodeSet> {
    if !inventory.read.contains(&Source::Speakers) {
        return None;
    }
    let live =
        inventory.speakers.iter().filter(|(key, speaker)| key.namespace == namespace && speaker.is_ready);
    let live: HashSet<&str> = live.map(|(_, speaker)| speaker.node.as_str()).collect();
    let mut set = NodeSet::default();
    for (position, name) in inventory.nodes.keys().enumerate() {
        if live.contains(name.as_str()) {
            set.insert(position);
        }
    }
    Some(set)
}

/// The nodes, in the order of names.
#[derive(Debug)]
pub(crate) struct NodeTable<'i> {
    nodes: Cow<'i, Nodes>,
    states: &'i BTreeMap<String, NodeState>,
    /// The nodes with a live speaker; `None` if speakers were not read.
    speakers: Option<Arc<NodeSet>>,
}

impl<'i> NodeTable<'i> {
    /// The table of the nodes of an inventory. `nodes` are the same nodes, indexed, and `speakers` are its
    /// [`live_speakers`].
    pub(crate) fn new(
        inventory: &'i Inventory,
        nodes: Cow<'i, Nodes>,
        speakers: Option<Arc<NodeSet>>,
    ) -> Self {
        Self { nodes, states: &inventory.node_states, speakers }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.nodes.position(name)
    }

    /// The node's name; empty for an invalid position.
    pub(crate) fn name(&self, position: usize) -> &str {
        self.nodes.at(position).map_or("", |(name, _)| name)
    }

    pub(crate) fn labels(&self, position: usize) -> Option<&Labels> {
        self.nodes.at(position).map(|(_, labels)| labels)
    }

    /// The node's state; `None` if it has none of the conditions and taints that matter.
    pub(crate) fn state(&self, position: usize) -> Option<&'i NodeState> {
        self.states.get(self.name(position))
    }

    pub(crate) fn is_network_unavailable(&self, position: usize) -> bool {
        self.state(position).is_some_and(|state| state.is_network_unavailable)
    }

    pub(crate) fn is_excluded(&self, position: usize) -> bool {
        self.labels(position).is_some_and(|labels| labels.contains_key(EXCLUDE_LABEL))
    }

    /// Whether a live speaker runs on the node; `None` if speakers were not read.
    pub(crate) fn has_speaker(&self, position: usize) -> Option<bool> {
        if self.state(position).is_some_and(|state| state.is_down) {
            return Some(false);
        }
        self.speakers.as_ref().map(|speakers| speakers.contains(position))
    }

    /// The positions of the nodes that a selector selects.
    pub(crate) fn selected<'t>(
        &'t self,
        selector: &'t Selector,
    ) -> impl Iterator<Item = usize> + use<'t, 'i> {
        self.nodes.selected_positions(selector)
    }

    /// The nodes that one of the selectors selects.
    pub(crate) fn set_of(&self, selectors: &[Selector]) -> NodeSet {
        let mut set = NodeSet::default();
        for position in selectors.iter().flat_map(|selector| self.selected(selector)) {
            set.insert(position);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::NodeSet;

    #[test]
    fn a_node_set_contains_exactly_the_inserted_positions() {
        let mut set = NodeSet::default();
        assert!(set.is_empty() && !set.contains(0));
        for position in [0, 63, 64, 1000] {
            set.insert(position);
        }
        let held: Vec<usize> = (0..2000).filter(|position| set.contains(*position)).collect();
        assert_eq!(held, [0, 63, 64, 1000]);
        let mut other = NodeSet::default();
        other.insert(65);
        assert!(set.intersection(&other).is_empty() && other.intersection(&set).is_empty());
        other.insert(64);
        let both = set.intersection(&other);
        assert!(both.contains(64) && !both.contains(65) && !both.contains(0));
    }
}
