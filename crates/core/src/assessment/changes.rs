//! Changes between two states: what decides which topologies must be assessed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::State;
use crate::election::parse_address;
use crate::labels::Labels;
use crate::snapshot::{ResolvedTopology, in_namespace};

/// The changes since the last assessment, by what they can affect. It is never too little: a change that could concern
/// any topology is [`Changes::everything`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    is_everything: bool,
    topologies: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    /// The labels of changed nodes, before and after.
    nodes: BTreeMap<String, Vec<Arc<Labels>>>,
    /// Whether a node was created or deleted, or a speaker has changed.
    moves_speakers: bool,
}

impl Changes {
    /// A change that may concern every topology.
    #[must_use]
    pub fn everything() -> Self {
        Self { is_everything: true, ..Self::default() }
    }

    /// Adds a change of a topology.
    pub fn add_topology(&mut self, name: &str) {
        self.topologies.insert(name.to_owned());
    }

    /// Adds a change of objects in a gateway's or MetalLB's namespace.
    pub fn add_namespace(&mut self, namespace: &str) {
        if !self.namespaces.contains(namespace) {
            self.namespaces.insert(namespace.to_owned());
        }
    }

    /// Adds a change of a node, with its labels before and after; `None` for a node that was created or deleted.
    pub fn add_node(&mut self, name: &str, before: Option<&Arc<Labels>>, after: Option<&Arc<Labels>>) {
        self.moves_speakers |= before.is_none() || after.is_none();
        self.add_labels(name, before.into_iter().chain(after));
    }

    /// Adds a change of the speaker on a node.
    pub fn add_speaker(&mut self, node: &str) {
        self.moves_speakers = true;
        self.add_labels(node, []);
    }

    fn add_labels<'l>(&mut self, node: &str, labels: impl IntoIterator<Item = &'l Arc<Labels>>) {
        let held = self.nodes.entry(node.to_owned()).or_default();
        for labels in labels {
            if !held.contains(labels) {
                held.push(Arc::clone(labels));
            }
        }
    }

    /// Adds other changes.
    pub fn merge(&mut self, other: Self) {
        self.is_everything |= other.is_everything;
        self.topologies.extend(other.topologies);
        self.namespaces.extend(other.namespaces);
        self.moves_speakers |= other.moves_speakers;
        for (name, labels) in &other.nodes {
            self.add_labels(name, labels);
        }
    }

    /// Whether an object of MetalLB's configuration may have changed, or a namespace that a pool selects.
    pub(super) fn concern_configurations(&self) -> bool {
        self.is_everything || !self.namespaces.is_empty() || !self.topologies.is_empty()
    }

    /// Whether other nodes than before may have a live speaker, or the positions of nodes may have changed.
    pub(super) fn concern_speakers(&self) -> bool {
        self.is_everything || self.moves_speakers || !self.topologies.is_empty()
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The changes in a state, with what is the same for every topology, so that it is looked up once.
pub(super) struct Concern<'s> {
    state: &'s State<'s>,
    changes: &'s Changes,
    /// The labels of the changed nodes, before and after.
    labels: Vec<&'s Labels>,
    /// The namespaces with a pod or an endpoint on a changed node.
    occupied: BTreeSet<&'s str>,
}

impl<'s> Concern<'s> {
    pub(super) fn new(state: &'s State<'s>, changes: &'s Changes) -> Self {
        let State { inventory, .. } = state;
        let current = changes.nodes.keys().filter_map(|name| inventory.nodes.get(name));
        let labels = changes.nodes.values().flatten().chain(current).map(AsRef::as_ref).collect();
        let is_changed = |node: &str| changes.nodes.contains_key(node);
        let pods = inventory.pod_nodes.iter().filter(|(_, node)| is_changed(node)).map(|(key, _)| key);
        let slices = inventory.endpoint_slices.iter();
        let slices = slices
            .filter(|(_, slice)| slice.endpoints.iter().any(|endpoint| is_changed(&endpoint.node_name)));
        let occupied = pods.chain(slices.map(|(key, _)| key)).map(|key| key.namespace.as_str());
        Self { state, changes, labels, occupied: occupied.collect() }
    }

    /// Whether the assessment of a topology may differ after the changes. A changed node matters if it is, or was, a gateway
    /// node, a node that an advertisement of the topology's pools selects, or a node with a pod or an endpoint of the gateway.
    pub(super) fn is_about(&self, topology: &ResolvedTopology) -> bool {
        let Changes { is_everything, topologies, namespaces, nodes: _, moves_speakers: _ } = self.changes;
        *is_everything
            || topologies.contains(&*topology.name)
            || namespaces.contains(&topology.spec.gateway.namespace)
            || namespaces.contains(&topology.spec.metallb_namespace)
            || self.occupied.contains(topology.spec.gateway.namespace.as_str())
            || self.labels.iter().any(|labels| topology.placement.matches(labels))
            || !self.changes.nodes.is_empty() && self.state.announces_from(topology, &self.labels)
    }
}

impl State<'_> {
    /// Whether an advertisement of the topology's pools, or of those that its Services have addresses of, selects a node
    /// with one of these label sets. Without a valid configuration, any node may matter.
    fn announces_from(&self, topology: &ResolvedTopology, labels: &[&Labels]) -> bool {
        let Some(Ok(metallb)) = self.metallb.get(topology.spec.metallb_namespace.as_str()) else {
            return true;
        };
        let configuration = metallb.configuration();
        let own = topology.spec.address_pools.iter().filter_map(|name| configuration.pool_named(name));
        let balancers = in_namespace(&self.inventory.load_balancers, &topology.spec.gateway.namespace);
        let addresses = balancers.flat_map(|(_, balancer)| &balancer.ingress);
        let held = addresses
            .filter_map(|ingress| configuration.pool_of(parse_address(&ingress.ip)?))
            .filter_map(|pool| configuration.pool(pool))
            .filter(|pool| !topology.spec.address_pools.contains(&pool.name));
        own.chain(held)
            .flat_map(|pool| configuration.advertisements_of(pool))
            .any(|(.., advertisement)| labels.iter().any(|labels| advertisement.announces_from(labels)))
    }
}
