//! The current nodes, indexed by the labels of placements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::labels::{Labels, Selector};

/// The maximum number of nodes that a search for examples examines. Examples only help people, because the witness is
/// the proof, and a search through ten thousand nodes would make a denial a hundred times as expensive.
const LOOK_AT: usize = 256;

/// The nodes by name, and by the labels that placements and advertisements select by.
#[derive(Debug, Default, Clone)]
pub struct Nodes {
    all: Vec<(String, Arc<Labels>)>,
    by_label: HashMap<SmolStr, HashMap<SmolStr, Vec<usize>>>,
}

impl Nodes {
    pub(crate) fn new(nodes: &BTreeMap<String, Arc<Labels>>, keys: BTreeSet<SmolStr>) -> Self {
        let all: Vec<_> = nodes.iter().map(|(name, labels)| (name.clone(), Arc::clone(labels))).collect();
        let by_label = keys
            .into_iter()
            .map(|key| {
                let mut holders: HashMap<SmolStr, Vec<usize>> = HashMap::new();
                for (position, (_, labels)) in all.iter().enumerate() {
                    if let Some(value) = labels.get(&key) {
                        holders.entry(value.clone()).or_default().push(position);
                    }
                }
                (key, holders)
            })
            .collect();
        Self { all, by_label }
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The labels of the node `name`; `None` if it does not exist.
    #[must_use]
    pub fn labels(&self, name: &str) -> Option<&Labels> {
        self.at(self.position(name)?).map(|(_, labels)| labels)
    }

    /// The position of the node `name` in the order of names.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.all.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()
    }

    /// The name and labels of the node at `position`.
    pub(crate) fn at(&self, position: usize) -> Option<(&str, &Labels)> {
        self.all.get(position).map(|(name, labels)| (name.as_str(), labels.as_ref()))
    }

    /// Returns the number of nodes that a search for those that `selector` selects examines.
    pub(crate) fn examined(&self, selector: &Selector) -> usize {
        self.shortest(selector).map_or(self.all.len(), |lists| lists.iter().map(|list| list.len()).sum())
    }

    /// Returns every node that `selector` selects.
    pub fn selected<'n>(&'n self, selector: &'n Selector) -> impl Iterator<Item = (&'n str, &'n Labels)> {
        self.selected_positions(selector).filter_map(|position| self.at(position))
    }

    /// Returns the positions of the nodes that `selector` selects.
    pub(crate) fn selected_positions<'n>(
        &'n self,
        selector: &'n Selector,
    ) -> impl Iterator<Item = usize> + use<'n> {
        let is_selected =
            move |position: &usize| self.at(*position).is_some_and(|(_, labels)| selector.matches(labels));
        self.candidates(selector).filter(is_selected)
    }

    /// Returns the names of at most `limit` nodes that `selector` selects and `also` accepts. Only the first 256
    /// candidates are examined.
    pub fn examples(&self, limit: usize, selector: &Selector, also: impl Fn(&Labels) -> bool) -> Vec<String> {
        self.candidates(selector)
            .take(LOOK_AT)
            .filter_map(|position| self.at(position))
            .filter(|(_, labels)| selector.matches(labels) && also(labels))
            .map(|(name, _)| name.to_owned())
            .take(limit)
            .collect()
    }

    /// Returns the positions of the nodes that `selector` could select: those with an indexed label that it requires,
    /// otherwise all.
    fn candidates(&self, selector: &Selector) -> Box<dyn Iterator<Item = usize> + '_> {
        match self.holders(selector) {
            Some(positions) => Box::new(positions),
            None => Box::new(0..self.all.len()),
        }
    }

    /// Returns the shortest list of nodes that have one of the values that `selector` requires of an indexed key.
    fn holders(&self, selector: &Selector) -> Option<impl Iterator<Item = usize> + use<'_>> {
        Some(self.shortest(selector)?.into_iter().flatten().copied())
    }

    fn shortest(&self, selector: &Selector) -> Option<Vec<&Vec<usize>>> {
        let lists = selector.keys().filter_map(|(key, values)| {
            let holders = self.by_label.get(key)?;
            let lists: Vec<_> = values.finite()?.iter().filter_map(|value| holders.get(value)).collect();
            Some(lists)
        });
        lists.min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>())
    }
}
