//! Names of topologies as values of a label, of which there must not be any number.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// How many names have series of their own. Topologies are written by the cluster's administrators, and a cluster
/// has one per gateway; but names come and go, and a series stays until the process ends.
const MOST: usize = 32;

/// The longest name that the API server stores.
const LONGEST: usize = 253;

/// A name that may stand in a label: one of the first [`MOST`], or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named(Option<Arc<str>>);

impl EncodeLabelValue for Named {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_deref().unwrap_or("other").encode(encoder)
    }
}

/// The names seen first. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Topologies(Arc<RwLock<BTreeSet<Arc<str>>>>);

impl Topologies {
    /// The name, or `other` if it came too late.
    pub(super) fn name(&self, topology: &Arc<str>) -> Named {
        let is_known = self.known(topology) || self.learn(topology);
        Named(is_known.then(|| Arc::clone(topology)))
    }

    fn known(&self, topology: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(topology)
    }

    fn learn(&self, topology: &Arc<str>) -> bool {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < MOST && topology.len() <= LONGEST;
        if has_room {
            names.insert(Arc::clone(topology));
        }
        // Somebody else may have learnt it in between.
        has_room || names.contains(topology)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_topologies_there_are_the_labels_are_few() {
        let topologies = Topologies::default();
        let name = |number: usize| topologies.name(&format!("topology-{number}").into());
        let names: BTreeSet<_> = (0..10_000).map(|number| name(number).0).collect();
        assert_eq!(names.len(), MOST + 1);
        assert_eq!(name(0).0.as_deref(), Some("topology-0"));
        assert_eq!(name(MOST), Named(None));
        assert_eq!(name(0), name(0));
    }

    #[test]
    fn a_name_that_no_cluster_has_is_no_label() {
        assert_eq!(Topologies::default().name(&"x".repeat(LONGEST + 1).into()), Named(None));
    }
}
