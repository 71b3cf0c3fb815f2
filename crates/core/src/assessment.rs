//! Assessment: for each Service of a topology, whether the client's address survives in a state of the cluster, and
//! why not.
//!
//! An assessment reads an [`Inventory`] and changes nothing. A kind that was not read makes outcomes Unknown, never
//! good: a Service is [`Outcome::Preserved`] only if everything that the decision depends on was read.

mod address;
mod cause;
mod changes;
mod choices;
pub(crate) mod command;
mod comparison;
mod condition;
mod current;
mod groups;
mod node;
mod node_counts;
mod status;
#[cfg(test)]
mod tests;
mod topology;
mod workload;

pub use cause::{Cause, CauseCode};
pub use changes::Changes;
pub(crate) use choices::GainedPools;
pub use condition::Condition;
pub use current::CurrentAssessments;
pub use node::{NodeAssessment, NodeScope};
pub use node_counts::NodeCounts;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::election::{
    Configuration, MetalLb, MetalLbVersion, NodeSet, NodeTable, Rejection, live_speakers, parse_address,
};
use crate::objects::EndpointSlice;
use crate::snapshot::{Inventory, ObjectKey, ResolvedTopology, Snapshot, Source};
use crate::topology::{Enforcement, Exception};
use crate::verdict::Rule;
use address::Entry;
use groups::Groups;

/// The outcome for the client's address at one address of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The client's address reaches the gateway, and still does after one node fails.
    Preserved,
    /// The client's address reaches the gateway now, and one more step would end that.
    Fragile(Cause),
    /// The gateway answers, but sees another address than the client's.
    Lost(Cause),
    /// No node announces the address.
    Silent(Cause),
    /// A kind that the outcome depends on could not be read.
    Unknown(Cause),
}

impl Outcome {
    /// The outcome in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Preserved => "Preserved",
            Self::Fragile(_) => "Fragile",
            Self::Lost(_) => "Lost",
            Self::Silent(_) => "Silent",
            Self::Unknown(_) => "Unknown",
        }
    }

    /// The cause of any outcome but [`Outcome::Preserved`].
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Preserved => None,
            Self::Fragile(cause) | Self::Lost(cause) | Self::Silent(cause) | Self::Unknown(cause) => {
                Some(cause)
            }
        }
    }
}

/// One address of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAssessment {
    /// The address in canonical form, or as written if it is invalid; `None` for a Service without addresses.
    pub address: Option<String>,
    /// The pool that contains the address.
    pub pool: Option<String>,
    /// The outcome for the client's address.
    pub outcome: Outcome,
    /// The node that announces the address by layer 2.
    pub announcer: Option<String>,
    /// The node that announces the address by layer 2 after the announcer's node fails, with the pods on it.
    pub next: Option<String>,
    /// The nodes that announce the address by BGP.
    pub bgp_announcers: Vec<String>,
    /// The number of nodes that announce the address or could, by either protocol.
    pub candidates: usize,
}

/// A Service of a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAssessment {
    /// The Service's namespace and name.
    pub key: ObjectKey,
    /// The Service's `externalTrafficPolicy`.
    pub policy: String,
    /// The Service's `healthCheckNodePort`; `None` if it has none.
    pub health_check_node_port: Option<u16>,
    /// The Service's addresses, in the order of its status; one entry without an address if it has none.
    pub addresses: Vec<AddressAssessment>,
    /// The nodes that matter for the Service, or every node; only [`Assessment::explain`] fills it.
    pub nodes: Vec<NodeAssessment>,
}

/// A topology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopologyAssessment {
    /// The topology's name.
    pub name: Arc<str>,
    /// The effect of each rule.
    pub enforcement: BTreeMap<Rule, Enforcement>,
    /// The exceptions, also those that have ended: an assessment has no clock.
    pub exceptions: Vec<Exception>,
    /// The topology's Services of type `LoadBalancer`, in the order of names.
    pub services: Vec<ServiceAssessment>,
    /// The kinds that the outcomes depend on and that were not read.
    pub unread: Option<Cause>,
    /// The kinds that were not read of those that the comparison of the announcing nodes with the placement takes.
    pub unread_for_alignment: Option<Cause>,
    /// The findings on the topology as a whole, and on its nodes, pods and other objects.
    pub findings: Vec<Cause>,
    /// The numbers of nodes; `None` if a kind that they follow from was not read.
    pub nodes: Option<NodeCounts>,
}

/// An assessment of a state of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The MetalLB version whose election was replayed.
    pub version: MetalLbVersion,
    /// The number of nodes of the state.
    pub nodes: usize,
    /// The topologies, in the order of names.
    pub topologies: Vec<TopologyAssessment>,
    /// The kinds that were not read. Outcomes that do not depend on them are assessed all the same.
    pub unread: Vec<Source>,
}

impl Assessment {
    /// Assesses every topology.
    #[must_use]
    pub fn of(inventory: &Inventory, version: MetalLbVersion) -> Self {
        Self::assess(inventory, version, None)
    }

    /// Assesses every topology, with the nodes that matter for each Service.
    #[must_use]
    pub fn explain(inventory: &Inventory, version: MetalLbVersion, nodes: NodeScope) -> Self {
        Self::assess(inventory, version, Some(nodes))
    }

    fn assess(inventory: &Inventory, version: MetalLbVersion, nodes: Option<NodeScope>) -> Self {
        let snapshot = Snapshot::new(inventory);
        let assessor = Assessor::new(inventory, &snapshot, version);
        Self {
            version,
            nodes: inventory.nodes.len(),
            topologies: assessor.topologies(nodes),
            unread: Source::ALL.into_iter().filter(|source| !assessor.0.has_read(*source)).collect(),
        }
    }
}

/// Assesses one topology of a state at a time: the indexes that all topologies share are built once.
#[derive(Debug)]
pub struct Assessor<'i>(State<'i>);

impl<'i> Assessor<'i> {
    /// Builds the indexes. The snapshot must be of the same inventory.
    #[must_use]
    pub fn new(inventory: &'i Inventory, snapshot: &'i Snapshot, version: MetalLbVersion) -> Self {
        Self(State::new(inventory, snapshot, version, &mut Kept::default()))
    }

    /// As [`Assessor::new`], with what was kept from an assessment before. What it lacks is added to it.
    fn with_kept(
        inventory: &'i Inventory,
        snapshot: &'i Snapshot,
        version: MetalLbVersion,
        kept: &mut Kept,
    ) -> Self {
        Self(State::new(inventory, snapshot, version, kept))
    }

    /// Assesses every topology, in the order of names.
    #[must_use]
    pub fn topologies(&'i self, nodes: Option<NodeScope>) -> Vec<TopologyAssessment> {
        self.0.snapshot.topologies().iter().map(|topology| self.0.assess(topology, nodes)).collect()
    }

    /// Assesses the topology of this name; `None` if the state has none. `nodes` are the nodes to list for each Service.
    #[must_use]
    pub fn topology(&'i self, name: &str, nodes: Option<NodeScope>) -> Option<TopologyAssessment> {
        self.0.snapshot.topology(name).map(|topology| self.0.assess(topology, nodes))
    }
}

impl Assessor<'_> {
    /// Whether MetalLB may give a Service its next address from a pool that its topology does not name.
    #[must_use]
    pub fn has_choices(&self) -> bool {
        let mut topologies = self.0.snapshot.topologies().iter();
        topologies.any(|topology| self.0.has_choice(topology))
    }

    /// A Service of the topology `name`, and a pool that the topology does not name, from which MetalLB may give the Service its next
    /// address here but not in the state `before`.
    pub(crate) fn new_choice(
        &self,
        before: &Assessor<'_>,
        name: &str,
        gained: &mut GainedPools,
    ) -> Option<(ObjectKey, String)> {
        self.0.new_choice(&before.0, self.0.snapshot.topology(name)?, gained)
    }
}

/// What most changes leave as it is, by the namespaces of MetalLB.
#[derive(Debug, Default)]
struct Kept {
    /// The configurations, or why MetalLB rejects them.
    configurations: BTreeMap<String, Result<Arc<Configuration>, Rejection>>,
    /// The nodes with a live speaker; `None` if speakers were not read.
    speakers: BTreeMap<String, Option<Arc<NodeSet>>>,
}

/// An inventory with indexes that all topologies use.
#[derive(Debug)]
struct State<'i> {
    inventory: &'i Inventory,
    snapshot: &'i Snapshot,
    version: MetalLbVersion,
    metallb: BTreeMap<&'i str, Result<MetalLb<'i>, Rejection>>,
    /// The slices of each Service, by its namespace and name.
    slices: Groups<(&'i str, &'i str), &'i EndpointSlice>,
    /// The Services of each address, for addresses of several Services.
    sharers: Groups<IpAddr, &'i ObjectKey>,
    /// The Services that have an address in `externalIPs`, by the address.
    external: Groups<IpAddr, Entry<'i>>,
}

impl<'i> State<'i> {
    fn new(
        inventory: &'i Inventory,
        snapshot: &'i Snapshot,
        version: MetalLbVersion,
        kept: &mut Kept,
    ) -> Self {
        let namespaces: BTreeSet<&str> =
            snapshot.topologies().iter().map(|topology| topology.spec.metallb_namespace.as_str()).collect();
        let slices = inventory.endpoint_slices.iter();
        let slices = Groups::new(
            slices.filter_map(|(key, slice)| Some(((key.namespace.as_str(), slice.service()?), slice))),
        );
        let sharers = inventory.load_balancers.iter();
        let sharers = Groups::new(sharers.flat_map(|(key, balancer)| {
            balancer.ingress.iter().filter_map(move |entry| Some((parse_address(&entry.ip)?, key)))
        }));
        let external = Groups::new(inventory.services.iter().flat_map(|(key, service)| {
            let addresses = service.spec.iter().flat_map(|spec| &spec.external_ips);
            addresses.filter_map(move |address| Some((parse_address(address)?, (key, service))))
        }));
        let read = |namespace| Configuration::parse(namespace, inventory, version).map(Arc::new);
        let mut metallb = BTreeMap::new();
        for namespace in namespaces {
            let configuration = kept.configurations.entry(namespace.to_owned());
            let configuration = configuration.or_insert_with(|| read(namespace)).clone();
            let speakers = kept.speakers.entry(namespace.to_owned());
            let speakers = speakers.or_insert_with(|| live_speakers(namespace, inventory).map(Arc::new));
            let nodes = NodeTable::new(inventory, Cow::Borrowed(snapshot.nodes()), speakers.clone());
            let installed = configuration.and_then(|configuration| {
                MetalLb::of(namespace, inventory.metallb, version, configuration, nodes)
            });
            metallb.insert(namespace, installed);
        }
        Self { inventory, snapshot, version, metallb, slices, sharers, external }
    }

    fn has_read(&self, source: Source) -> bool {
        self.inventory.read.contains(&source)
    }

    fn assess(&'i self, topology: &'i ResolvedTopology, nodes: Option<NodeScope>) -> TopologyAssessment {
        let services: Vec<_> = self.services_of(topology).collect();
        let assess_service = |entry| {
            let nodes = nodes.map_or_else(Vec::new, |scope| self.nodes_of(topology, entry, scope));
            ServiceAssessment { nodes, ..self.assess_service(topology, entry) }
        };
        let mut findings = self.findings(topology, &services);
        let nodes_with_a_part = self.count_nodes(topology, &services);
        let services: Vec<ServiceAssessment> = services.into_iter().map(assess_service).collect();
        // What an address reports is not reported once more for its topology.
        let causes = services.iter().flat_map(|service| &service.addresses);
        let causes: Vec<&Cause> = causes.filter_map(|address| address.outcome.cause()).collect();
        findings.retain(|finding| !causes.contains(&finding));
        TopologyAssessment {
            name: Arc::clone(&topology.name),
            enforcement: Rule::ALL.map(|rule| (rule, topology.spec.enforcement_of(rule))).into(),
            exceptions: topology.spec.exceptions.clone(),
            unread: self.missing(topology),
            unread_for_alignment: self.missing_beside(topology, &[]),
            nodes: nodes_with_a_part,
            findings,
            services,
        }
    }

    /// The kinds that the outcomes of a topology's Services depend on and that were not read.
    fn missing(&self, topology: &ResolvedTopology) -> Option<Cause> {
        self.missing_beside(topology, &[Source::Services, Source::EndpointSlices])
    }

    /// The kinds that were not read of these and of those that every decision of MetalLB takes.
    fn missing_beside(&self, topology: &ResolvedTopology, others: &[Source]) -> Option<Cause> {
        let namespaces = [&topology.spec.gateway.namespace, &topology.spec.metallb_namespace];
        if let Some(pending) =
            namespaces.into_iter().find(|namespace| self.inventory.pending.contains(*namespace))
        {
            return Some(Cause::pending(pending));
        }
        if self.inventory.lacks_metallb {
            return Some(Cause::no_metallb());
        }
        let mut needed = others.to_vec();
        needed.extend([
            Source::Nodes,
            Source::AddressPools,
            Source::L2Advertisements,
            Source::BgpAdvertisements,
        ]);
        if self.version.reads_legacy_pools() {
            needed.push(Source::LegacyAddressPools);
        }
        needed.retain(|source| !self.has_read(*source));
        (!needed.is_empty()).then(|| Cause::unread(&needed))
    }
}
