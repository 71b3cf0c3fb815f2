//! The election: a replay of MetalLB's decision which node announces the addresses of a Service.
//!
//! Sources, in MetalLB 0.13.5, 0.15.2 and 0.16.2: `speaker/main.go` (`SetBalancer`), `speaker/layer2_controller.go`
//! and `speaker/bgp_controller.go` (`ShouldAnnounce`), `internal/config/config.go`, `controller/service.go` and
//! `internal/allocator`. Each speaker decides for its own node, and all of them decide by the same rules, so one
//! replay for all nodes finds the announcer.
//!
//! Not replayed: BGP sessions (`BGPPeer`s, routers), network interfaces, and packets.

mod address;
mod allocation;
mod configuration;
mod node_table;
mod release;
#[cfg(test)]
mod tests;
mod version;

pub use address::{AddressRange, Family, RangeError, parse_address};
pub use allocation::{AllocationError, Origin};
pub(crate) use allocation::{disagreeing_sharer, may_share, sharing_key};
pub use configuration::{
    AddressPool, BgpAdvertisement, Configuration, Layer2Advertisement, Rejection, Reservation,
};
pub(crate) use node_table::{NodeSet, NodeTable, live_speakers};
pub use release::{AssumedVersion, VersionBasis};
pub use version::{MetalLbVersion, UnknownVersion};

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::escape::excerpt;
use crate::labels::{Labels, Selector};
use crate::objects::{Endpoint, EndpointSlice, LoadBalancer, Service, ServiceSpec, Taint};
use crate::snapshot::{Advertisement, Inventory, MetalLbSettings, Nodes, ObjectKey};

/// One installation of MetalLB: its version, its configuration, and the nodes that its speakers run on.
#[derive(Debug)]
pub struct MetalLb<'i> {
    namespace: String,
    version: MetalLbVersion,
    settings: MetalLbSettings,
    configuration: Arc<Configuration>,
    nodes: NodeTable<'i>,
    /// The nodes whose speakers reject the configuration, each set with the first reason.
    rejecting: Vec<(Rejection, NodeSet)>,
    /// The announcing nodes of each L2 advertisement, computed on first use.
    announcing: Vec<OnceLock<NodeSet>>,
}

/// A Service of type `LoadBalancer`, as MetalLB sees it.
#[derive(Debug, Clone, Copy)]
pub struct BalancedService<'i> {
    /// The Service's namespace and name.
    pub key: &'i ObjectKey,
    /// The Service's labels, type and policy.
    pub service: &'i Service,
    /// The Service's annotations and addresses.
    pub balancer: &'i LoadBalancer,
    /// The Service's endpoints, slice by slice.
    pub slices: &'i [&'i EndpointSlice],
}

/// The reason why no speaker elects a node for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// The Service has no address.
    NoAddress,
    /// An entry of the status is not an address, such as a host name.
    NotAnAddress(String),
    /// No pool has the address.
    NoPool(IpAddr),
    /// The addresses belong to several pools.
    SeveralPools {
        /// One pool.
        one: String,
        /// Another pool.
        other: String,
    },
}

/// The announcers of a Service: one decision for all of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The addresses, in the order of the status. The first one decides.
    pub addresses: Vec<IpAddr>,
    /// The pool, by position in [`Configuration::pools`].
    pub pool: usize,
    /// The decision by layer 2.
    pub layer2: Layer2,
    /// The nodes that announce by BGP, by position. All of them announce; none is elected.
    pub bgp: Vec<usize>,
}

/// The decision by layer 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer2 {
    /// A node is elected.
    Elected {
        /// The elected node, by position.
        winner: usize,
        /// The node that is elected if the winner's node fails, with the pods on it; `None` if there is none. Without a
        /// memberlist the node stays elected, unless it loses the endpoints that `Local` needs.
        next: Option<usize>,
        /// The node that is elected if only the winner's speaker stops; `None` if there is none. Without a memberlist, no other
        /// speaker knows.
        runner_up: Option<usize>,
        /// The number of nodes that could announce, including the winner.
        candidates: usize,
    },
    /// No node is elected.
    Nobody(NobodyElected),
}

/// The reason why no node is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NobodyElected {
    /// The Service has no endpoint that takes traffic.
    NoEndpoint,
    /// No L2 advertisement announces the pool.
    NotAdvertised,
    /// None of the pool's L2 advertisements selects the Service.
    ServiceNotSelected,
    /// The Service may share its address, and an L2 advertisement selects Services (0.16.2).
    SharedAddress,
    /// The speakers have no memberlist, so none of them knows the others (before 0.15.0).
    NoMemberlist,
    /// No node passes every condition: see [`MetalLb::obstacle`].
    NoCandidate,
}

/// The first condition that keeps a node from announcing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// No live speaker runs on the node.
    NoSpeaker,
    /// The node's network is unavailable.
    NetworkUnavailable,
    /// The node has the label that excludes nodes from external load balancers.
    Excluded,
    /// No advertisement that announces the Service selects the node.
    NotSelected,
    /// The node's speaker rejects the configuration.
    Rejected,
    /// The BGP advertisements that select the node contradict each other.
    Contradiction,
    /// The node runs no ready endpoint, and the policy is `Local`.
    NoLocalEndpoint,
}

impl<'i> MetalLb<'i> {
    /// Reads the MetalLB installation in `namespace`.
    ///
    /// # Errors
    /// [`Rejection`] if every speaker rejects the configuration.
    pub fn new(
        namespace: &str,
        inventory: &'i Inventory,
        version: MetalLbVersion,
    ) -> Result<Self, Rejection> {
        let configuration = Arc::new(Configuration::parse(namespace, inventory, version)?);
        let layer2 = configuration.layer2.iter().map(|layer2| &layer2.advertisement);
        let bgp = configuration.bgp.iter().map(|bgp| &bgp.advertisement);
        let selectors = layer2.chain(bgp).flat_map(Advertisement::nodes);
        let keys = selectors.flat_map(Selector::keys).map(|(key, _)| key.clone()).collect();
        let nodes = Cow::Owned(Nodes::new(&inventory.nodes, keys));
        let speakers = live_speakers(namespace, inventory).map(Arc::new);
        let nodes = NodeTable::new(inventory, nodes, speakers);
        Self::of(namespace, inventory.metallb, version, configuration, nodes)
    }

    /// The MetalLB installation in `namespace` with what was read before: a configuration, which must be what
    /// [`Configuration::parse`] reads, and the nodes.
    ///
    /// # Errors
    /// [`Rejection`] if every speaker rejects the configuration.
    pub(crate) fn of(
        namespace: &str,
        settings: MetalLbSettings,
        version: MetalLbVersion,
        configuration: Arc<Configuration>,
        nodes: NodeTable<'i>,
    ) -> Result<Self, Rejection> {
        let rejecting = configuration.bgp_mistakes(version, &nodes);
        if !version.parses_bgp_per_node()
            && let Some((rejection, _)) = rejecting.first()
        {
            return Err(rejection.clone());
        }
        let announcing = configuration.layer2.iter().map(|_| OnceLock::new()).collect();
        let namespace = namespace.to_owned();
        Ok(Self { namespace, version, settings, configuration, nodes, rejecting, announcing })
    }

    /// The configuration of MetalLB.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The namespace of MetalLB.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The version whose election is replayed.
    #[must_use]
    pub fn version(&self) -> MetalLbVersion {
        self.version
    }

    /// The name of the node at `position`.
    #[must_use]
    pub fn node_name(&self, position: usize) -> &str {
        self.nodes.name(position)
    }

    /// The labels of the node at `position`.
    #[must_use]
    pub fn node_labels(&self, position: usize) -> Option<&Labels> {
        self.nodes.labels(position)
    }

    /// Whether the node's label keeps MetalLB from announcing from it.
    pub(crate) fn is_excluded(&self, node: usize) -> bool {
        self.version.excludes_nodes() && !self.settings.ignores_exclude_label && self.nodes.is_excluded(node)
    }

    /// Whether the node's network keeps MetalLB from announcing from it.
    pub(crate) fn is_network_unavailable(&self, node: usize) -> bool {
        self.version.excludes_nodes() && self.nodes.is_network_unavailable(node)
    }

    /// Whether a what-if marked the node as down.
    pub(crate) fn is_down(&self, node: usize) -> bool {
        self.nodes.state(node).is_some_and(|state| state.is_down)
    }

    /// The positions of the nodes that a selector selects.
    pub(crate) fn selected<'t>(
        &'t self,
        selector: &'t Selector,
    ) -> impl Iterator<Item = usize> + use<'t, 'i> {
        self.nodes.selected(selector)
    }

    /// The node that is elected for a Service by layer 2.
    pub(crate) fn elected_node(&self, service: BalancedService<'_>) -> Option<&str> {
        match self.elect(service).ok()?.layer2 {
            Layer2::Elected { winner, .. } => Some(self.node_name(winner)),
            Layer2::Nobody(_) => None,
        }
    }

    /// The number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The taints of a node that may keep speakers away, in the syntax of `kubectl taint`, in backticks. The pods of a
    /// `DaemonSet` tolerate those of the node's lifecycle, such as `node.kubernetes.io/not-ready`
    /// (`AddOrUpdateDaemonPodTolerations`, pkg/controller/daemon/util/daemonset_util.go, Kubernetes 1.36).
    pub(crate) fn taints(&self, position: usize) -> Vec<String> {
        self.node_taints(position)
            .filter(|taint| !taint.key.starts_with("node.kubernetes.io/"))
            .map(ToString::to_string)
            .map(|taint| format!("`{}`", excerpt(&taint)))
            .collect()
    }

    /// The taints of a node that keep pods away.
    pub(crate) fn node_taints(&self, position: usize) -> impl Iterator<Item = &Taint> {
        self.nodes.state(position).into_iter().flat_map(|state| &state.taints)
    }

    /// The node's `InternalIP`s.
    pub(crate) fn node_internal_ips(&self, position: usize) -> &[IpAddr] {
        self.nodes.state(position).map_or(&[], |state| &state.internal_ips)
    }

    /// The position of a node.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.nodes.position(name)
    }

    /// The advertisements of a pool that announce the Service, of both kinds.
    pub(crate) fn advertisements_of(
        &self,
        service: BalancedService<'_>,
        pool: usize,
    ) -> impl Iterator<Item = &Advertisement> {
        let labels = &service.service.metadata.labels;
        let pool = self.configuration.pool(pool);
        let all = pool.into_iter().flat_map(|pool| self.configuration.advertisements_of(pool));
        all.map(|(.., advertisement)| advertisement)
            .filter(|advertisement| advertisement.applies_to(labels))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Elects the announcers of the addresses of a Service.
    ///
    /// # Errors
    /// [`Ineligible`] if no speaker elects a node for such addresses.
    pub fn elect(&self, service: BalancedService<'_>) -> Result<Election, Ineligible> {
        let (addresses, pool) = self.pool_of(service.balancer)?;
        let Some(held) = self.configuration.pool(pool) else {
            return Err(Ineligible::NoAddress);
        };
        let layer2 = self.elect_by_layer2(service, held, addresses.first());
        let bgp = self.announce_by_bgp(service, held);
        Ok(Election { addresses, pool, layer2, bgp })
    }

    /// The addresses of a Service, and the pool that contains all of them.
    fn pool_of(&self, balancer: &LoadBalancer) -> Result<(Vec<IpAddr>, usize), Ineligible> {
        let mut addresses = Vec::with_capacity(balancer.ingress.len());
        for entry in &balancer.ingress {
            let written = if entry.ip.is_empty() { &entry.hostname } else { &entry.ip };
            addresses
                .push(parse_address(&entry.ip).ok_or_else(|| Ineligible::NotAnAddress(written.clone()))?);
        }
        let mut pools = Vec::with_capacity(addresses.len());
        for address in &addresses {
            pools.push(self.configuration.pool_of(*address).ok_or(Ineligible::NoPool(*address))?);
        }
        let Some(pool) = pools.first().copied() else {
            return Err(Ineligible::NoAddress);
        };
        if let Some(other) = pools.into_iter().find(|other| *other != pool) {
            let name =
                |pool| self.configuration.pool(pool).map_or_else(String::new, |pool| pool.name.clone());
            return Err(Ineligible::SeveralPools { one: name(pool), other: name(other) });
        }
        Ok((addresses, pool))
    }

    fn elect_by_layer2(
        &self,
        service: BalancedService<'_>,
        pool: &AddressPool,
        first: Option<&IpAddr>,
    ) -> Layer2 {
        let nobody = Layer2::Nobody;
        if !service.endpoints().any(|endpoint| self.is_active(endpoint)) {
            return nobody(NobodyElected::NoEndpoint);
        }
        if pool.layer2.is_empty() {
            return nobody(NobodyElected::NotAdvertised);
        }
        let advertisements = self.layer2_for(service, pool);
        if advertisements.is_empty() {
            return nobody(NobodyElected::ServiceNotSelected);
        }
        if service.shares_address()
            && self.version.selects_services()
            && advertisements
                .iter()
                .any(|position| self.advertisement(*position).is_some_and(Advertisement::selects_services))
        {
            return nobody(NobodyElected::SharedAddress);
        }
        if self.settings.lacks_memberlist && !self.version.runs_without_memberlist() {
            return nobody(NobodyElected::NoMemberlist);
        }
        let candidates = self.candidates(service, &advertisements);
        let address = first.map_or_else(String::new, IpAddr::to_string);
        let rank = |position: usize| self.rank(position, &address, &advertisements);
        let Some((winner, runner_up)) = two_lowest(candidates.iter().copied(), rank) else {
            return nobody(NobodyElected::NoCandidate);
        };
        let winner_name = self.nodes.name(winner);
        let outlives = |endpoint: &Endpoint| endpoint.node_name != winner_name && self.is_active(endpoint);
        let is_missed = !self.settings.lacks_memberlist;
        let next =
            runner_up.filter(|_| (is_missed || service.is_local()) && service.endpoints().any(outlives));
        let runner_up = runner_up.filter(|_| is_missed);
        Layer2::Elected { winner, next, runner_up, candidates: candidates.len() }
    }

    /// The L2 advertisements of the pool that announce the Service, by position.
    fn layer2_for(&self, service: BalancedService<'_>, pool: &AddressPool) -> Vec<usize> {
        let labels = &service.service.metadata.labels;
        self.configuration
            .layer2_of(pool)
            .filter(|(_, layer2)| layer2.advertisement.applies_to(labels))
            .map(|(position, _)| position)
            .collect()
    }

    fn advertisement(&self, layer2: usize) -> Option<&Advertisement> {
        self.configuration.layer2.get(layer2).map(|layer2| &layer2.advertisement)
    }

    /// The nodes that pass every condition, in order.
    fn candidates(&self, service: BalancedService<'_>, advertisements: &[usize]) -> Vec<usize> {
        if service.is_local() {
            let nodes = self.endpoint_nodes(service).into_iter();
            return nodes.filter(|node| self.obstacle_of(*node, advertisements).is_none()).collect();
        }
        let sets: Vec<&NodeSet> =
            advertisements.iter().filter_map(|position| self.announcing(*position)).collect();
        (0..self.nodes.len())
            .filter(|node| sets.iter().any(|set| set.contains(*node)) && self.is_eligible(*node).is_ok())
            .collect()
    }

    /// All announcing nodes of an advertisement.
    fn announcing(&self, layer2: usize) -> Option<&NodeSet> {
        let advertisement = self.advertisement(layer2)?;
        let held = self.announcing.get(layer2)?;
        Some(held.get_or_init(|| self.nodes.set_of(advertisement.nodes())))
    }

    /// The nodes that the advertisements of a pool select, one set for each advertisement.
    pub(crate) fn announcing_nodes(&self, pool: &AddressPool) -> Vec<NodeSet> {
        let layer2 = pool.layer2.iter().filter_map(|position| self.announcing(*position).cloned());
        let bgp = self.configuration.bgp_of(pool);
        layer2.chain(bgp.map(|(_, bgp)| self.nodes.set_of(bgp.advertisement.nodes()))).collect()
    }

    /// The nodes with an endpoint that takes traffic, in order.
    pub(crate) fn endpoint_nodes(&self, service: BalancedService<'_>) -> Vec<usize> {
        let active = service.endpoints().filter(|endpoint| self.is_active(endpoint));
        // An endpoint without a node counts for no node.
        let mut nodes: Vec<usize> =
            active.filter_map(|endpoint| self.nodes.position(&endpoint.node_name)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Whether the endpoint takes traffic.
    pub(crate) fn is_active(&self, endpoint: &Endpoint) -> bool {
        if self.version.counts_serving() {
            endpoint.conditions.can_serve()
        } else {
            endpoint.conditions.is_ready()
        }
    }

    /// The first condition that keeps a node from being elected for a Service; `None` for a candidate.
    #[must_use]
    pub fn obstacle(&self, service: BalancedService<'_>, pool: usize, node: usize) -> Option<Obstacle> {
        let pool = self.configuration.pool(pool)?;
        let obstacle = self.obstacle_of(node, &self.layer2_for(service, pool));
        let lacks_endpoint =
            || service.is_local() && self.endpoint_nodes(service).binary_search(&node).is_err();
        obstacle.or_else(|| lacks_endpoint().then_some(Obstacle::NoLocalEndpoint))
    }

    fn obstacle_of(&self, node: usize, advertisements: &[usize]) -> Option<Obstacle> {
        if let Err(obstacle) = self.is_eligible(node) {
            return Some(obstacle);
        }
        let selects = |position: &usize| match self.announcing.get(*position).and_then(OnceLock::get) {
            Some(set) => set.contains(node),
            None => match (self.advertisement(*position), self.nodes.labels(node)) {
                (Some(advertisement), Some(labels)) => advertisement.announces_from(labels),
                _ => false,
            },
        };
        (!advertisements.iter().any(selects)).then_some(Obstacle::NotSelected)
    }

    /// Whether a node may announce at all; the checks have the order of `speakersForAds`.
    fn is_eligible(&self, node: usize) -> Result<(), Obstacle> {
        // Without a memberlist every node counts as alive.
        if !self.settings.lacks_memberlist && self.nodes.has_speaker(node) == Some(false) {
            return Err(Obstacle::NoSpeaker);
        }
        self.is_usable(node)
    }

    fn is_usable(&self, node: usize) -> Result<(), Obstacle> {
        if self.is_network_unavailable(node) {
            Err(Obstacle::NetworkUnavailable)
        } else if self.is_excluded(node) {
            Err(Obstacle::Excluded)
        } else {
            Ok(())
        }
    }

    /// The rank of a candidate: the highest preference comes first, then the lowest hash of node and address.
    fn rank(&self, node: usize, address: &str, advertisements: &[usize]) -> (Reverse<i64>, [u8; 32]) {
        let preference = || -> i64 {
            let labels = self.nodes.labels(node);
            let preferring = advertisements.iter().filter_map(|position| self.advertisement(*position));
            // The preferences of an advertisement that does not select the node do not count.
            preferring
                .filter(|advertisement| advertisement.has_preferences())
                .filter_map(|advertisement| Some((advertisement, labels?)))
                .filter(|(advertisement, labels)| advertisement.announces_from(labels))
                .map(|(advertisement, labels)| advertisement.preference_for(labels))
                .fold(0, i64::saturating_add)
        };
        let mut hash = Sha256::new();
        hash.update(self.nodes.name(node));
        hash.update("#");
        hash.update(address);
        (Reverse(preference()), hash.finalize().into())
    }

    /// The nodes that announce by BGP.
    fn announce_by_bgp(&self, service: BalancedService<'_>, pool: &AddressPool) -> Vec<usize> {
        if pool.bgp.is_empty() || !self.has_healthy_endpoint(service, None) {
            return Vec::new();
        }
        let nodes =
            if service.is_local() { self.endpoint_nodes(service) } else { (0..self.nodes.len()).collect() };
        let advertisements = self.bgp_for(service, pool);
        let announces = |node: &usize| self.bgp_obstacle_of(service, pool, &advertisements, *node).is_none();
        nodes.into_iter().filter(announces).collect()
    }

    /// The BGP advertisements of the pool that announce the Service.
    fn bgp_for<'c>(
        &'c self,
        service: BalancedService<'_>,
        pool: &'c AddressPool,
    ) -> Vec<&'c BgpAdvertisement> {
        let labels = &service.service.metadata.labels;
        let advertisements = self.configuration.bgp_of(pool).map(|(_, bgp)| bgp);
        advertisements.filter(|bgp| bgp.advertisement.applies_to(labels)).collect()
    }

    /// The first condition that keeps a node from announcing a Service by BGP, except for the BGP session.
    #[must_use]
    pub fn bgp_obstacle(&self, service: BalancedService<'_>, pool: usize, node: usize) -> Option<Obstacle> {
        let pool = self.configuration.pool(pool)?;
        self.bgp_obstacle_of(service, pool, &self.bgp_for(service, pool), node)
    }

    fn bgp_obstacle_of(
        &self,
        service: BalancedService<'_>,
        pool: &AddressPool,
        advertisements: &[&BgpAdvertisement],
        node: usize,
    ) -> Option<Obstacle> {
        if self.nodes.has_speaker(node) == Some(false) {
            return Some(Obstacle::NoSpeaker);
        }
        if self.rejection_on(node).is_some() {
            return Some(Obstacle::Rejected);
        }
        let labels = self.nodes.labels(node)?;
        let own: Vec<&BgpAdvertisement> =
            advertisements.iter().copied().filter(|bgp| bgp.advertisement.announces_from(labels)).collect();
        if own.is_empty() {
            return Some(Obstacle::NotSelected);
        }
        if self.contradict(&own, pool) {
            return Some(Obstacle::Contradiction);
        }
        if let Err(obstacle) = self.is_usable(node) {
            return Some(obstacle);
        }
        let lacks_endpoint =
            service.is_local() && !self.has_healthy_endpoint(service, Some(self.nodes.name(node)));
        lacks_endpoint.then_some(Obstacle::NoLocalEndpoint)
    }

    /// Whether advertisements that select a node contradict each other, so that it announces none
    /// (`checkBGPAdvConflicts`).
    fn contradict(&self, own: &[&BgpAdvertisement], pool: &AddressPool) -> bool {
        self.version.selects_services()
            && own.iter().enumerate().any(|(position, one)| {
                own.iter()
                    .skip(position.saturating_add(1))
                    .any(|other| one.contradicts(other, pool, self.version).is_some())
            })
    }

    /// Whether an endpoint takes traffic, as BGP counts it; with `node`, an endpoint on that node.
    fn has_healthy_endpoint(&self, service: BalancedService<'_>, node: Option<&str>) -> bool {
        let mut endpoints =
            service.endpoints().filter(|endpoint| node.is_none_or(|node| endpoint.node_name == node));
        if !self.version.unready_wins_for_bgp() {
            return endpoints.any(|endpoint| !endpoint.addresses.is_empty() && self.is_active(endpoint));
        }
        let mut healthy: HashMap<&str, bool> = HashMap::new();
        for endpoint in endpoints {
            for address in &endpoint.addresses {
                *healthy.entry(address).or_insert(true) &= self.is_active(endpoint);
            }
        }
        healthy.into_values().any(|is_healthy| is_healthy)
    }

    /// The reason why the speaker on a node rejects the configuration; `None` if it accepts it.
    #[must_use]
    pub fn rejection_on(&self, node: usize) -> Option<&Rejection> {
        self.rejecting.iter().find(|(_, nodes)| nodes.contains(node)).map(|(rejection, _)| rejection)
    }

    /// Whether a live speaker runs on the node; `None` if speakers were not read.
    #[must_use]
    pub fn has_speaker(&self, node: usize) -> Option<bool> {
        self.nodes.has_speaker(node)
    }

    /// The names of the L2 advertisements that announce the Service from a node.
    #[must_use]
    pub fn selected_by(&self, service: BalancedService<'_>, pool: usize, node: usize) -> Vec<&str> {
        let (Some(pool), Some(labels)) = (self.configuration.pool(pool), self.nodes.labels(node)) else {
            return Vec::new();
        };
        let service = &service.service.metadata.labels;
        let announcing = self.configuration.layer2_of(pool).filter(|(_, layer2)| {
            layer2.advertisement.applies_to(service) && layer2.advertisement.announces_from(labels)
        });
        announcing.map(|(_, layer2)| layer2.name.as_str()).collect()
    }
}

impl MetalLb<'_> {
    /// The names of the BGP advertisements that announce the Service from a node.
    pub(crate) fn selected_by_bgp(
        &self,
        service: BalancedService<'_>,
        pool: usize,
        node: usize,
    ) -> Vec<&str> {
        let (Some(pool), Some(labels)) = (self.configuration.pool(pool), self.nodes.labels(node)) else {
            return Vec::new();
        };
        let announcing = self.bgp_for(service, pool).into_iter();
        announcing
            .filter(|bgp| bgp.advertisement.announces_from(labels))
            .map(|bgp| bgp.name.as_str())
            .collect()
    }
}

impl<'i> BalancedService<'i> {
    /// Whether `externalTrafficPolicy` is `Local`.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.service.spec.as_ref().is_some_and(ServiceSpec::is_local)
    }

    /// Whether the Service may share its address. Speakers check only whether either annotation is present.
    #[must_use]
    pub fn shares_address(self) -> bool {
        self.balancer.annotation("allow-shared-ip", false).is_some()
    }

    /// The Service's endpoints.
    pub fn endpoints(self) -> impl Iterator<Item = &'i Endpoint> {
        self.slices.iter().flat_map(|slice| &slice.endpoints)
    }
}

/// The lowest and the second lowest of these nodes; `None` if there are none.
fn two_lowest<K: Ord>(
    nodes: impl Iterator<Item = usize>,
    rank: impl Fn(usize) -> K,
) -> Option<(usize, Option<usize>)> {
    let mut lowest: Option<(K, usize)> = None;
    let mut second: Option<(K, usize)> = None;
    for node in nodes {
        let ranked = (rank(node), node);
        if lowest.as_ref().is_none_or(|lowest| ranked < *lowest) {
            second = lowest.replace(ranked);
        } else if second.as_ref().is_none_or(|second| ranked < *second) {
            second = Some(ranked);
        }
    }
    lowest.map(|(_, winner)| (winner, second.map(|(_, node)| node)))
}
