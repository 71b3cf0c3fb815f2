//! The inventory: the objects that a snapshot is built from, either from watches or from manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{MetalLbSettings, ResolvedTopology, Source, Speaker};
use crate::labels::Labels;
use crate::objects::{
    AddressPoolSpec, AdvertisementSpec, BgpAdvertisementSpec, DisruptionBudget, EndpointSlice,
    LegacyPoolSpec, LoadBalancer, NodeState, Service, Workload, WorkloadKind,
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
    /// `metadata.generation`; 0 if the source has none.
    pub generation: i64,
    /// `metadata.creationTimestamp`; `None` if the source has none.
    pub created: Option<Timestamp>,
    /// The spec.
    pub spec: GatewayTopologySpec,
}

/// The objects that a snapshot is built from.
///
/// The rules read the first half, which watches and manifests always fill. Assessments also read the second half, in
/// which a kind that is not in [`read`](Self::read) is unknown, not empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Topologies by name. Invalid ones ([`GatewayTopologySpec::check`]) must be left out.
    pub topologies: BTreeMap<String, Declared>,
    /// The labels of nodes, by name. They are shared between snapshots, because there may be ten thousand nodes.
    pub nodes: BTreeMap<String, Arc<Labels>>,
    /// The labels of `IPAddressPool`s.
    pub pools: BTreeMap<ObjectKey, Labels>,
    /// `L2Advertisement`s.
    pub advertisements: BTreeMap<ObjectKey, AdvertisementSpec>,
    /// Services.
    pub services: BTreeMap<ObjectKey, Service>,
    /// The labels of pods.
    pub pods: BTreeMap<ObjectKey, Labels>,
    /// Namespaces whose objects are not known yet. There is no verdict on changes that depend on them.
    pub pending: BTreeSet<String>,
    /// Whether the cluster did not serve MetalLB's kinds when they were last listed. A request for one of them proves
    /// that the cluster serves them now, and that the snapshot is out of date.
    pub lacks_metallb: bool,

    /// The kinds that were read in full. An assessment that needs another one is Unknown.
    pub read: BTreeSet<Source>,
    /// The settings of MetalLB.
    pub metallb: MetalLbSettings,
    /// The conditions and taints of nodes. A node without an entry has none that keeps it from announcing.
    pub node_states: BTreeMap<String, NodeState>,
    /// The nodes that pods are bound to. Pods that are not scheduled have no entry.
    pub pod_nodes: BTreeMap<ObjectKey, String>,
    /// The fields of Services that their addresses depend on, for the Services in [`services`](Self::services).
    pub load_balancers: BTreeMap<ObjectKey, LoadBalancer>,
    /// `EndpointSlice`s.
    pub endpoint_slices: BTreeMap<ObjectKey, EndpointSlice>,
    /// The specs of `IPAddressPool`s, for the pools in [`pools`](Self::pools).
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
    /// The workloads of each kind.
    pub workloads: BTreeMap<WorkloadKind, BTreeMap<ObjectKey, Workload>>,
    /// `PodDisruptionBudget`s.
    pub disruption_budgets: BTreeMap<ObjectKey, DisruptionBudget>,
}

impl Inventory {
    /// Derives the settings of MetalLB from its speaker pods.
    pub fn infer_settings(&mut self) {
        self.metallb = self.inferred_settings();
    }

    /// The settings of MetalLB by its speaker pods. A setting applies if every speaker has it, because all of them come
    /// from one `DaemonSet`; during a rollout, the default applies.
    #[must_use]
    pub fn inferred_settings(&self) -> MetalLbSettings {
        let all = |has: fn(&MetalLbSettings) -> bool| {
            !self.speakers.is_empty() && self.speakers.values().all(|speaker| has(&speaker.settings))
        };
        MetalLbSettings {
            ignores_exclude_label: all(|settings| settings.ignores_exclude_label),
            lacks_memberlist: all(|settings| settings.lacks_memberlist),
        }
    }

    /// Adds the objects of another inventory, which replace those with the same name. Settings stay.
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
            workloads,
            disruption_budgets,
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
        for (kind, workloads) in workloads {
            self.workloads.entry(kind).or_default().extend(workloads);
        }
        self.disruption_budgets.extend(disruption_budgets);
    }

    /// Whether an endpoint of the Service is a pod of the topology's gateway. For Services whose selector does not say so: their
    /// endpoints are managed by hand, or are what is left of a selector that was removed or replaced.
    #[must_use]
    pub fn has_gateway_endpoint(&self, topology: &ResolvedTopology, service: &ObjectKey) -> bool {
        let slices = in_namespace(&self.endpoint_slices, &service.namespace).map(|(_, slice)| slice);
        let own = slices.filter(|slice| slice.service() == Some(service.name.as_str()));
        self.has_gateway_pod(topology, &service.namespace, own)
    }

    /// Whether an endpoint of these slices is a pod of the topology's gateway.
    pub(crate) fn has_gateway_pod<'s>(
        &self,
        topology: &ResolvedTopology,
        namespace: &str,
        slices: impl IntoIterator<Item = &'s EndpointSlice>,
    ) -> bool {
        slices.into_iter().flat_map(|slice| &slice.endpoints).any(|endpoint| {
            let pod = ObjectKey { namespace: namespace.to_owned(), name: endpoint.pod.to_string() };
            self.pods.get(&pod).is_some_and(|labels| topology.claims(labels))
        })
    }

    /// Adds the built-in topology if there is no topology. This is for manifests: in a cluster without a topology,
    /// nothing is enforced.
    #[must_use]
    pub fn or_built_in(mut self) -> Self {
        if self.topologies.is_empty() {
            self.topologies.insert(BUILT_IN.to_owned(), Declared::default());
        }
        self
    }
}

/// Returns the objects of one namespace. Keys are ordered by namespace, then name.
pub(crate) fn in_namespace<'i, 'n, T>(
    objects: &'i BTreeMap<ObjectKey, T>,
    namespace: &'n str,
) -> impl Iterator<Item = (&'i ObjectKey, &'i T)> + use<'i, 'n, T> {
    let first = ObjectKey { namespace: namespace.to_owned(), name: String::new() };
    objects.range(first..).take_while(move |(key, _)| key.namespace == namespace)
}
