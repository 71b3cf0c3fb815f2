//! The inventory: the objects that a snapshot is built from, whether they come from watches or from manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{MetalLbSettings, Source, Speaker};
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
    /// Sets the settings of MetalLB to those of its speaker pods. A setting holds if every speaker has it, because all of
    /// them come from one `DaemonSet`; while it is rolled out, the default holds.
    pub fn infer_settings(&mut self) {
        let all = |has: fn(&MetalLbSettings) -> bool| {
            !self.speakers.is_empty() && self.speakers.values().all(|speaker| has(&speaker.settings))
        };
        self.metallb = MetalLbSettings {
            ignores_exclude_label: all(|settings| settings.ignores_exclude_label),
            lacks_memberlist: all(|settings| settings.lacks_memberlist),
        };
    }

    /// Adds the objects of another inventory, which replace those of the same name. Settings stay as they are.
    pub fn absorb(&mut self, other: Self) {
        let Self {
            topologies,
            nodes,
            pools,
            advertisements,
            services,
            pods,
            pending,
            lacks_metallb,
            read,
            metallb: _,
            node_states,
            pod_nodes,
            load_balancers,
            endpoint_slices,
            pool_specs,
            legacy_pools,
            bgp_advertisements,
            namespaces,
            speakers,
            reported_announcers,
        } = other;
        self.topologies.extend(topologies);
        self.nodes.extend(nodes);
        self.pools.extend(pools);
        self.advertisements.extend(advertisements);
        self.services.extend(services);
        self.pods.extend(pods);
        self.pending.extend(pending);
        self.lacks_metallb |= lacks_metallb;
        self.read.extend(read);
        self.node_states.extend(node_states);
        self.pod_nodes.extend(pod_nodes);
        self.load_balancers.extend(load_balancers);
        self.endpoint_slices.extend(endpoint_slices);
        self.pool_specs.extend(pool_specs);
        self.legacy_pools.extend(legacy_pools);
        self.bgp_advertisements.extend(bgp_advertisements);
        self.namespaces.extend(namespaces);
        self.speakers.extend(speakers);
        for (service, nodes) in reported_announcers {
            self.reported_announcers.entry(service).or_default().extend(nodes);
        }
    }

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
