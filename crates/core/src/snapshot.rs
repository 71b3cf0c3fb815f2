//! Snapshots: the immutable state of a cluster or of manifests, by which rules and assessments judge.
//!
//! A snapshot is built once per change of the cluster and read by every review, so it has an index for every lookup of
//! a review.

mod advertisement;
#[cfg(test)]
pub(crate) mod from_objects;
mod inventory;
mod nodes;
mod pool_conflicts;
mod resolved_topology;
mod source;
mod speaker;

pub use advertisement::{Advertisement, Attachment};
pub(crate) use inventory::in_namespace;
pub use inventory::{Declared, Inventory, ObjectKey};
pub use nodes::Nodes;
use pool_conflicts::yielded_pools;
use resolved_topology::AdvertisementsByPool;
pub use resolved_topology::{Pool, ResolvedTopology};
pub use source::Source;
pub(crate) use speaker::image_name;
pub use speaker::{MetalLbSettings, RunningPod, Speaker};

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::change::Change;
use crate::labels::{Labels, Selector};
use crate::objects::{Object, ServiceSpec};

/// A snapshot of the cluster. It is immutable, and a clone shares its indexes.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    index: Arc<Index>,
    publication: Option<Publication>,
    state: Option<KnownState>,
}

/// The whole state of a cluster, by which changes of MetalLB's configuration are judged: before and after are assessed.
#[derive(Debug, Clone, Default)]
pub struct KnownState {
    /// The objects.
    pub inventory: Arc<Inventory>,
    /// The plurals of the kinds in the group `metallb.io` that the cluster serves; MetalLB's version may follow from them.
    pub metallb_kinds: Arc<BTreeSet<String>>,
}

/// The objects that rules look up, with their indexes.
#[derive(Debug, Default)]
struct Index {
    topologies: Vec<ResolvedTopology>,
    by_gateway_namespace: HashMap<String, Vec<usize>>,
    by_metallb_namespace: HashMap<String, Vec<usize>>,
    nodes: Nodes,
    pools: BTreeSet<ObjectKey>,
    advertisements: BTreeMap<ObjectKey, Advertisement>,
    unknown: HashSet<String>,
    lacks_metallb: bool,
}

/// The number of a snapshot and the time since which it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The number; the snapshots of a process are numbered from 1.
    pub number: u64,
    /// The time of publication.
    pub time: Timestamp,
}

impl Snapshot {
    /// Builds a snapshot with its indexes.
    #[must_use]
    pub fn new(inventory: &Inventory) -> Self {
        Self::of_topologies(inventory, |_| true)
    }

    /// Builds a snapshot of some topologies only, by their names.
    #[must_use]
    pub(crate) fn of_topologies(inventory: &Inventory, is_wanted: impl Fn(&str) -> bool) -> Self {
        // An invalid advertisement announces nothing: MetalLB keeps its last valid configuration.
        let advertisements: BTreeMap<_, _> = inventory
            .advertisements
            .iter()
            .filter_map(|(key, spec)| Some((key.clone(), Advertisement::parse(spec).ok()?)))
            .collect();
        let by_pool = AdvertisementsByPool::new(&advertisements);
        // A topology that is not wanted may be the older one.
        let yielded = yielded_pools(&inventory.topologies);
        let topologies: Vec<ResolvedTopology> = inventory
            .topologies
            .iter()
            .filter(|(name, _)| is_wanted(name.as_str()))
            .map(|(name, declared)| {
                let yielded = yielded.get(name.as_str());
                ResolvedTopology::new(name, declared, yielded, inventory, &by_pool)
            })
            .collect();
        let placements = topologies.iter().map(|topology| &topology.placement);
        let announcing = advertisements.values().flat_map(Advertisement::nodes);
        let bgp: Vec<Selector> = inventory
            .bgp_advertisements
            .values()
            .flat_map(|spec| &spec.node_selectors)
            .filter_map(|selector| selector.parse().ok())
            .collect();
        let selectors = placements.chain(announcing).chain(&bgp);
        let keys = selectors.flat_map(Selector::keys).map(|(key, _)| key.clone()).collect();
        let index = Index {
            nodes: Nodes::new(&inventory.nodes, keys),
            by_gateway_namespace: index(&topologies, |topology| &topology.spec.gateway.namespace),
            by_metallb_namespace: index(&topologies, |topology| &topology.spec.metallb_namespace),
            pools: inventory.pools.keys().cloned().collect(),
            unknown: unknown_namespaces(&topologies, &inventory.pending),
            lacks_metallb: inventory.lacks_metallb,
            topologies,
            advertisements,
        };
        Self { index: Arc::new(index), publication: None, state: None }
    }

    /// Returns the snapshot with the whole state, or without it while it is not known. The state may be newer than the
    /// snapshot in what rules do not read.
    #[must_use]
    pub fn with_state(self, state: Option<KnownState>) -> Self {
        Self { state, ..self }
    }

    /// The whole state; `None` while it is not known.
    #[must_use]
    pub fn state(&self) -> Option<&KnownState> {
        self.state.as_ref()
    }

    /// Whether a Service with this spec leads to the gateway's pods. The endpoints of a selector that was removed stay, and those of one
    /// that was replaced stay for a moment: the Service still leads where it led.
    pub(crate) fn leads_to(
        &self,
        topology: &ResolvedTopology,
        service: &ObjectKey,
        spec: &ServiceSpec,
    ) -> bool {
        let has_endpoint = |state: &KnownState| state.inventory.has_gateway_endpoint(topology, service);
        topology.is_behind(spec) || self.state.as_ref().is_some_and(has_endpoint)
    }

    /// Returns the snapshot with the number and time of its publication.
    #[must_use]
    pub fn published(self, publication: Publication) -> Self {
        Self { publication: Some(publication), ..self }
    }

    /// The number and time of the publication; `None` for a snapshot that was never published.
    #[must_use]
    pub fn publication(&self) -> Option<Publication> {
        self.publication
    }

    /// Every topology, in the order of names.
    #[must_use]
    pub fn topologies(&self) -> &[ResolvedTopology] {
        &self.index.topologies
    }

    /// The topology with this name.
    #[must_use]
    pub fn topology(&self, name: &str) -> Option<&ResolvedTopology> {
        let position = self.index.topologies.binary_search_by(|topology| (*topology.name).cmp(name)).ok()?;
        self.index.topologies.get(position)
    }

    /// The topologies whose gateway is in `namespace`.
    pub fn gateways_in(&self, namespace: &str) -> impl Iterator<Item = &ResolvedTopology> {
        self.at(self.index.by_gateway_namespace.get(namespace))
    }

    /// The topologies whose pools are announced by advertisements in `namespace`.
    pub fn announced_from(&self, namespace: &str) -> impl Iterator<Item = &ResolvedTopology> {
        self.at(self.index.by_metallb_namespace.get(namespace))
    }

    fn at<'f>(&'f self, found: Option<&'f Vec<usize>>) -> impl Iterator<Item = &'f ResolvedTopology> {
        found.into_iter().flatten().filter_map(|position| self.index.topologies.get(*position))
    }

    /// The topologies that claim a pod with these labels.
    pub fn claims<'f>(
        &'f self,
        namespace: &str,
        labels: &'f Labels,
    ) -> impl Iterator<Item = &'f ResolvedTopology> {
        self.gateways_in(namespace).filter(|topology| topology.claims(labels))
    }

    /// The current nodes.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.index.nodes
    }

    /// Whether the pool exists.
    #[must_use]
    pub fn has_pool(&self, pool: &ObjectKey) -> bool {
        self.index.pools.contains(pool)
    }

    /// The advertisement with this name; `None` if it does not exist or is invalid.
    #[must_use]
    pub fn advertisement(&self, key: &ObjectKey) -> Option<&Advertisement> {
        self.index.advertisements.get(key)
    }

    /// Whether the snapshot contains everything that the verdict on `change` depends on. If not, there must be no
    /// verdict.
    #[must_use]
    pub fn know(&self, change: &Change) -> bool {
        let lacks_state = match &change.object {
            // Whether it shares its address, and where its endpoints lead, only the state shows.
            Object::Service(service, balancer) => {
                let shares = balancer.annotation("allow-shared-ip", false).is_some();
                let is_by_hand = service.spec.as_ref().is_some_and(|spec| spec.selector.is_empty());
                let turns_away = || {
                    let was_local = matches!(&change.old, Some(Object::Service(old, _))
                        if old.spec.as_ref().is_some_and(ServiceSpec::is_local));
                    let is_away = |spec: &ServiceSpec| {
                        !spec.is_local()
                            && !self.gateways_in(&change.namespace).any(|topology| topology.is_behind(spec))
                    };
                    was_local && service.spec.as_ref().is_some_and(is_away)
                };
                self.state.is_none()
                    && self.gateways_in(&change.namespace).next().is_some()
                    && (shares || is_by_hand || turns_away())
            }
            object if object.kind().is_metallb() => {
                self.index.lacks_metallb
                    || self.state.is_none() && self.announced_from(&change.namespace).next().is_some()
            }
            _ => false,
        };
        !lacks_state && !self.index.unknown.contains(&change.namespace)
    }
}

fn index(
    topologies: &[ResolvedTopology],
    namespace: impl Fn(&ResolvedTopology) -> &String,
) -> HashMap<String, Vec<usize>> {
    let mut index: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, topology) in topologies.iter().enumerate() {
        index.entry(namespace(topology).clone()).or_default().push(position);
    }
    index
}

/// Returns the namespaces without a verdict. A topology connects two namespaces: while one is pending, neither has a
/// verdict.
fn unknown_namespaces(topologies: &[ResolvedTopology], pending: &BTreeSet<String>) -> HashSet<String> {
    topologies
        .iter()
        .map(|topology| [&topology.spec.gateway.namespace, &topology.spec.metallb_namespace])
        .filter(|pair| pair.iter().any(|namespace| pending.contains(*namespace)))
        .flatten()
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Declared, Inventory, Publication, Snapshot};
    use crate::topology::GatewayTopologySpec;

    #[test]
    fn topologies_are_found_by_name_and_by_either_namespace() {
        let mut inventory = Inventory::default();
        for (name, gateway, metallb) in [("a", "edge", "lb"), ("b", "edge", "metallb"), ("c", "west", "lb")] {
            let mut spec =
                GatewayTopologySpec { metallb_namespace: metallb.to_owned(), ..Default::default() };
            spec.gateway.namespace = gateway.to_owned();
            inventory.topologies.insert(name.to_owned(), Declared { generation: 1, created: None, spec });
        }
        let snapshot = Snapshot::new(&inventory);
        assert_eq!(snapshot.topologies().len(), 3);
        assert_eq!(snapshot.topology("b").map(|topology| &*topology.name), Some("b"));
        assert!(snapshot.topology("d").is_none());
        let in_edge: Vec<&str> = snapshot.gateways_in("edge").map(|topology| &*topology.name).collect();
        assert_eq!(in_edge, ["a", "b"]);
        let from_lb: Vec<&str> = snapshot.announced_from("lb").map(|topology| &*topology.name).collect();
        assert_eq!(from_lb, ["a", "c"]);
        assert_eq!(snapshot.gateways_in("lb").count() + snapshot.announced_from("edge").count(), 0);
    }

    #[test]
    fn a_snapshot_is_published_once_it_has_a_number() {
        let publication = Publication { number: 7, time: Default::default() };
        let snapshot = Snapshot::new(&Inventory::default());
        assert_eq!(snapshot.publication(), None);
        assert_eq!(snapshot.published(publication).publication(), Some(publication));
    }
}
