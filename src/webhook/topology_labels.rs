//! Metric labels with names of topologies, bounded in number.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// The maximum number of names with their own series. A cluster has one topology per gateway, but names change, and a
/// series stays until the process ends.
const NAMES: usize = 32;

/// The maximum length of a name in the API server, in bytes.
const NAME_LIMIT: usize = 253;

/// The value of a topology label: one of the first [`NAMES`] names, or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TopologyLabel(Option<Arc<str>>);

impl EncodeLabelValue for TopologyLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_deref().unwrap_or("other").encode(encoder)
    }
}

/// The names with their own series. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct TopologyLabels(Arc<RwLock<BTreeSet<Arc<str>>>>);

impl TopologyLabels {
    /// Returns the label of a topology: its name, or `other` after [`NAMES`] other names.
    pub(super) fn label(&self, topology: &Arc<str>) -> TopologyLabel {
        let is_known = self.contains(topology) || self.insert(topology);
        TopologyLabel(is_known.then(|| Arc::clone(topology)))
    }

    fn contains(&self, topology: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(topology)
    }

    fn insert(&self, topology: &Arc<str>) -> bool {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < NAMES && topology.len() <= NAME_LIMIT;
        if has_room {
            names.insert(Arc::clone(topology));
        }
        // Another thread may have inserted the name meanwhile.
        has_room || names.contains(topology)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_topology_labels_is_bounded() {
        let labels = TopologyLabels::default();
        let label = |number: usize| labels.label(&format!("topology-{number}").into());
        let names: BTreeSet<_> = (0..10_000).map(|number| label(number).0).collect();
        assert_eq!(names.len(), NAMES + 1);
        assert_eq!(label(0).0.as_deref(), Some("topology-0"));
        assert_eq!(label(NAMES), TopologyLabel(None));
        assert_eq!(label(0), label(0));
    }

    #[test]
    fn a_name_that_the_api_server_would_not_store_is_not_a_label_value() {
        assert_eq!(TopologyLabels::default().label(&"x".repeat(NAME_LIMIT + 1).into()), TopologyLabel(None));
    }
}
