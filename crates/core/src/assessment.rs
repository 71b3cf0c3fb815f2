//! What follows from a state of the cluster for each Service of a topology: does the client's address survive, and if not,
//! why?
//!
//! An assessment reads an [`Inventory`] and changes nothing. What was not read is Unknown, and never good: a Service is
//! [`Outcome::Preserved`] only if everything was read that the decision takes.

mod address;
mod cause;
#[cfg(test)]
mod tests;
mod topology;

pub use cause::{Cause, CauseCode};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::election::{MetalLb, MetalLbVersion, Rejection, parse_address};
use crate::objects::EndpointSlice;
use crate::snapshot::{Inventory, ObjectKey, ResolvedTopology, Snapshot, Source};

/// What becomes of the client's address at one address of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The client's address reaches the gateway, also after one node goes.
    Preserved,
    /// The client's address reaches the gateway now, and one step ends that.
    Fragile(Cause),
    /// The gateway answers, and sees another address than the client's.
    Lost(Cause),
    /// No node announces the address.
    Silent(Cause),
    /// What it takes to decide could not be read.
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

    /// Why it is not [`Outcome::Preserved`].
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
    /// The address in canonical form, or as it is written where it is none; `None` for a Service without any.
    pub address: Option<String>,
    /// The pool that has it.
    pub pool: Option<String>,
    /// What becomes of the client's address.
    pub outcome: Outcome,
    /// The node that announces it by layer 2.
    pub announcer: Option<String>,
    /// The node that announces it by layer 2 if the announcer's node goes, with the pods on it.
    pub next: Option<String>,
    /// The nodes that announce it by BGP.
    pub bgp_announcers: Vec<String>,
}

/// A Service of a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAssessment {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its `externalTrafficPolicy`.
    pub policy: String,
    /// Its addresses, in the order of its status; one entry without an address if it has none.
    pub addresses: Vec<AddressAssessment>,
}

/// A topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyAssessment {
    /// Its name.
    pub name: Arc<str>,
    /// Its Services of type `LoadBalancer`, in order of their names.
    pub services: Vec<ServiceAssessment>,
    /// What is wrong with the topology as a whole, or with the nodes, pods and objects that it is about.
    pub findings: Vec<Cause>,
}

/// A state, assessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The MetalLB version whose decision was replayed.
    pub version: MetalLbVersion,
    /// The topologies, in order of their names.
    pub topologies: Vec<TopologyAssessment>,
    /// What was not read. Where an outcome does not take it, it is assessed without.
    pub unread: Vec<Source>,
}

impl Assessment {
    /// Assesses every topology.
    #[must_use]
    pub fn of(inventory: &Inventory, version: MetalLbVersion) -> Self {
        let snapshot = Snapshot::new(inventory);
        let state = State::new(inventory, &snapshot, version);
        let unread = Source::ALL.into_iter().filter(|source| !state.has_read(*source));
        Self {
            version,
            topologies: snapshot.topologies().iter().map(|topology| state.assess(topology)).collect(),
            unread: unread.collect(),
        }
    }
}

/// An inventory with what all topologies look up in it.
struct State<'i> {
    inventory: &'i Inventory,
    snapshot: &'i Snapshot,
    version: MetalLbVersion,
    metallb: BTreeMap<&'i str, Result<MetalLb<'i>, Rejection>>,
    slices: HashMap<(&'i str, &'i str), Vec<&'i EndpointSlice>>,
    /// The Services that have an address, for addresses that several have.
    sharers: HashMap<IpAddr, Vec<&'i ObjectKey>>,
}

impl<'i> State<'i> {
    fn new(inventory: &'i Inventory, snapshot: &'i Snapshot, version: MetalLbVersion) -> Self {
        let namespaces: BTreeSet<&str> =
            snapshot.topologies().iter().map(|topology| topology.spec.metallb_namespace.as_str()).collect();
        let mut slices: HashMap<_, Vec<_>> = HashMap::new();
        for (key, slice) in &inventory.endpoint_slices {
            if let Some(service) = slice.service() {
                slices.entry((key.namespace.as_str(), service)).or_default().push(slice);
            }
        }
        let mut sharers: HashMap<_, Vec<_>> = HashMap::new();
        for (key, balancer) in &inventory.load_balancers {
            for address in balancer.ingress.iter().filter_map(|entry| parse_address(&entry.ip)) {
                sharers.entry(address).or_default().push(key);
            }
        }
        let metallb = namespaces
            .into_iter()
            .map(|namespace| (namespace, MetalLb::new(namespace, inventory, version)))
            .collect();
        Self { inventory, snapshot, version, metallb, slices, sharers }
    }

    fn has_read(&self, source: Source) -> bool {
        self.inventory.read.contains(&source)
    }

    fn assess(&self, topology: &ResolvedTopology) -> TopologyAssessment {
        let services: Vec<_> = self.services_of(topology).collect();
        TopologyAssessment {
            name: Arc::clone(&topology.name),
            findings: self.findings(topology, &services),
            services: services.into_iter().map(|service| self.assess_service(topology, service)).collect(),
        }
    }

    /// What the outcome of a topology's Services takes and was not read.
    fn missing(&self, topology: &ResolvedTopology) -> Option<Cause> {
        let namespaces = [&topology.spec.gateway.namespace, &topology.spec.metallb_namespace];
        if let Some(pending) =
            namespaces.into_iter().find(|namespace| self.inventory.pending.contains(*namespace))
        {
            return Some(Cause::pending(pending));
        }
        if self.inventory.lacks_metallb {
            return Some(Cause::no_metallb());
        }
        let mut needed = vec![
            Source::Services,
            Source::EndpointSlices,
            Source::Nodes,
            Source::AddressPools,
            Source::L2Advertisements,
            Source::BgpAdvertisements,
        ];
        if self.version.reads_legacy_pools() {
            needed.push(Source::LegacyAddressPools);
        }
        needed.retain(|source| !self.has_read(*source));
        (!needed.is_empty()).then(|| Cause::unread(&needed))
    }
}
