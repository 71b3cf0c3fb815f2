//! The inventory: the objects that a snapshot is built from, whether they come from watches or from manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Source;
use crate::labels::Labels;
use crate::objects::{
    AddressPoolSpec, AdvertisementSpec, BgpAdvertisementSpec, EndpointSlice, LegacyPoolSpec, LoadBalancer,
    NodeState, Service,
};
use crate::topology::{BUILT_IN, GatewayTopologySpec};

/// The namespace and name of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A topology with its generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// `metadata.generation`; 0 where the source has none.
    pub generation: i64,
    /// The spec.
    pub spec: GatewayTopologySpec,
}

/// A speaker pod of MetalLB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Speaker {
    /// The node that the pod is bound to; empty while it is not scheduled.
    pub node: String,
    /// Whether the pod is ready.
    pub is_ready: bool,
}

/// The settings of MetalLB that influence the election.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetalLbSettings {
    /// Whether speakers ignore `node.kubernetes.io/exclude-from-external-load-balancers` (`--ignore-exclude-lb`, since
    /// 0.14.4).
    pub ignores_exclude_label: bool,
    /// Whether speakers run without a memberlist, so that no speaker knows which others are alive.
    pub lacks_memberlist: bool,
}

/// The objects that a snapshot is built from.
///
/// The rules read the first half, which watches and manifests always fill. Assessments read the second half, too; there,
/// a kind that is not in [`read`](Self::read) is unknown, and never empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Topologies by name. Invalid ones ([`GatewayTopologySpec::check`]) must be left out.
    pub topologies: BTreeMap<String, Declared>,
    /// The labels of nodes, by name. They are shared, because ten thousand nodes outlive many snapshots.
    pub nodes: BTreeMap<String, Arc<Labels>>,
    /// The labels of `IPAddressPool`s.
    pub pools: BTreeMap<ObjectKey, Labels>,
    /// `L2Advertisement`s.
    pub advertisements: BTreeMap<ObjectKey, AdvertisementSpec>,
    /// Services.
    pub services: BTreeMap<ObjectKey, Service>,
    /// The labels of pods.
    pub pods: BTreeMap<ObjectKey, Labels>,
    /// Namespaces whose objects are not known yet. Changes that depend on them cannot be judged.
    pub pending: BTreeSet<String>,
    /// Whether the cluster did not serve MetalLB's kinds when they were last listed. A request for one of them proves that the
    /// cluster serves them now, and that the snapshot is outdated.
    pub lacks_metallb: bool,

    /// The kinds that were read in full. An assessment that needs another one is Unknown.
    pub read: BTreeSet<Source>,
    /// The settings of MetalLB.
    pub metallb: MetalLbSettings,
    /// Conditions and taints of nodes. A node without an entry has none that keeps it from announcing.
    pub node_states: BTreeMap<String, NodeState>,
    /// The nodes that pods are bound to; pods that are not scheduled have no entry.
    pub pod_nodes: BTreeMap<ObjectKey, String>,
    /// The fields of Services that their addresses depend on, for the same Services as in [`services`](Self::services).
    pub load_balancers: BTreeMap<ObjectKey, LoadBalancer>,
    /// `EndpointSlice`s.
    pub endpoint_slices: BTreeMap<ObjectKey, EndpointSlice>,
    /// `IPAddressPool`s; the same as in [`pools`](Self::pools).
    pub pool_specs: BTreeMap<ObjectKey, AddressPoolSpec>,
    /// `AddressPool`s, which MetalLB reads up to 0.13.
    pub legacy_pools: BTreeMap<ObjectKey, LegacyPoolSpec>,
    /// `BGPAdvertisement`s.
    pub bgp_advertisements: BTreeMap<ObjectKey, BgpAdvertisementSpec>,
    /// The labels of namespaces.
    pub namespaces: BTreeMap<String, Labels>,
    /// MetalLB's speaker pods.
    pub speakers: BTreeMap<ObjectKey, Speaker>,
    /// The nodes that announce a Service by layer 2, as their speakers report it in a `ServiceL2Status`.
    pub reported_announcers: BTreeMap<ObjectKey, BTreeSet<String>>,
}

impl Inventory {
    /// Adds the built-in topology if there is none, for manifests. In a cluster without a topology, nothing is enforced.
    #[must_use]
    pub fn or_built_in(mut self) -> Self {
        if self.topologies.is_empty() {
            self.topologies.insert(BUILT_IN.to_owned(), Declared::default());
        }
        self
    }
}

/// The objects of one namespace. Keys are ordered by namespace, then name.
pub(crate) fn in_namespace<'i, T>(
    objects: &'i BTreeMap<ObjectKey, T>,
    namespace: &'i str,
) -> impl Iterator<Item = (&'i ObjectKey, &'i T)> {
    let first = ObjectKey { namespace: namespace.to_owned(), name: String::new() };
    objects.range(first..).take_while(move |(key, _)| key.namespace == namespace)
}
