//! The objects a snapshot is made of, by name: what watches and manifests have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::labels::Labels;
use crate::objects::{AdvertisementSpec, Service};
use crate::topology::{BUILT_IN, GatewayTopologySpec};

/// The namespace and name of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A topology as it stands in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// `metadata.generation`; 0 where the source has none.
    pub generation: i64,
    /// What it says.
    pub spec: GatewayTopologySpec,
}

/// Everything a snapshot is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Topologies by name. Those that fail [`GatewayTopologySpec::check`] must not be put in.
    pub topologies: BTreeMap<String, Declared>,
    /// The labels of nodes, by name; shared, because ten thousand nodes outlive many snapshots.
    pub nodes: BTreeMap<String, Arc<Labels>>,
    /// The labels of `IPAddressPool`s.
    pub pools: BTreeMap<ObjectKey, Labels>,
    /// `L2Advertisement`s.
    pub advertisements: BTreeMap<ObjectKey, AdvertisementSpec>,
    /// Services.
    pub services: BTreeMap<ObjectKey, Service>,
    /// The labels of pods.
    pub pods: BTreeMap<ObjectKey, Labels>,
    /// Namespaces whose objects are not known yet. Whatever depends on them cannot be judged.
    pub pending: BTreeSet<String>,
    /// Whether the cluster did not serve MetalLB's kinds when it was last asked. A request for one of them
    /// proves that it does by now, and that the snapshot is behind.
    pub lacks_metallb: bool,
}

impl Inventory {
    /// Adds the built-in topology if there is none: for manifests, which may hold no topology at all.
    /// In a cluster, no topology means that nothing is enforced.
    #[must_use]
    pub fn or_built_in(mut self) -> Self {
        if self.topologies.is_empty() {
            self.topologies.insert(BUILT_IN.to_owned(), Declared::default());
        }
        self
    }
}
