//! Causes: why an address is not safe, or what is wrong with a topology, as a code, a sentence, and what to change.

use std::fmt;

use crate::escape::excerpt;
use crate::snapshot::Source;

/// The code of a cause, which programs can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CauseCode {
    /// Kinds that the decision depends on were not read.
    Unread,
    /// The Service has no address.
    NoAddress,
    /// An entry of the status is not an address.
    NotAnAddress,
    /// No pool has the address.
    AddressInNoPool,
    /// The Service's addresses are in several pools.
    SeveralPools,
    /// MetalLB rejects the configuration.
    ConfigurationRejected,
    /// The Service has no endpoint that takes traffic.
    NoEndpoint,
    /// No advertisement announces the pool.
    NotAdvertised,
    /// No advertisement of the pool selects the Service.
    ServiceNotSelected,
    /// The Service may share its address, and an advertisement selects Services.
    SharedAddress,
    /// MetalLB's speakers have no memberlist.
    NoMemberlist,
    /// No advertisement selects the node.
    NodeNotSelected,
    /// The node is excluded from external load balancers.
    NodeExcluded,
    /// The node's network is unavailable.
    NetworkUnavailable,
    /// No live speaker runs on the node.
    NoSpeaker,
    /// The node runs no endpoint that takes traffic, and the policy is `Local`.
    NoLocalEndpoint,
    /// The BGP advertisements that select the node contradict each other.
    Contradiction,
    /// The endpoints name no node, or none that exists.
    EndpointWithoutNode,
    /// The policy is not `Local`.
    NotLocal,
    /// Only one node can announce.
    OneNode,
    /// A BGP advertisement announces more than the address.
    Aggregated,
    /// No pod carries the gateway's labels.
    NoPod,
    /// No Service sends traffic to the gateway.
    NoService,
    /// A pool of the topology does not exist.
    NoPool,
    /// No node satisfies the placement.
    NoGatewayNode,
    /// A gateway pod runs on a node outside the placement.
    PodOffPlacement,
    /// Gateway nodes run no ready gateway pod.
    NoReadyPod,
    /// A taint may keep speakers away; the speakers themselves were not read.
    NodeTainted,
    /// The addresses of a Service come from a pool that the topology does not name.
    OtherPool,
    /// Nodes announce that are not gateway nodes.
    Wider,
    /// Gateway nodes do not announce.
    Narrower,
    /// No announcing node can be a gateway node.
    Disjoint,
    /// There are too many selectors to decide whether the announcing nodes are the gateway nodes.
    TooComplex,
    /// Another Service takes traffic of the address by its `externalIPs`.
    ExternalIp,
    /// An older topology with another placement names the same pool.
    PoolConflict,
    /// An exception of the topology lifts a rule for an object.
    Exception,
    /// MetalLB reports another announcer than the one in the replayed election.
    ReportedElsewhere,
    /// The gateway's workloads ask for fewer than two replicas.
    OneReplica,
    /// All ready gateway pods run on one gateway node, although there are others.
    NotSpread,
    /// A rollout may stop every gateway pod at once.
    RolloutStopsAll,
    /// No `PodDisruptionBudget` covers the gateway's pods.
    NoDisruptionBudget,
    /// A `PodDisruptionBudget` lets every gateway pod be evicted at once.
    DisruptionBudgetAllowsAll,
    /// `PodDisruptionBudget`s let no gateway pod be evicted.
    DisruptionBudgetAllowsNone,
}

impl CauseCode {
    /// Every code, in the order of the variants.
    pub const ALL: [Self; 43] = [
        Self::Unread,
        Self::NoAddress,
        Self::NotAnAddress,
        Self::AddressInNoPool,
        Self::SeveralPools,
        Self::ConfigurationRejected,
        Self::NoEndpoint,
        Self::NotAdvertised,
        Self::ServiceNotSelected,
        Self::SharedAddress,
        Self::NoMemberlist,
        Self::NodeNotSelected,
        Self::NodeExcluded,
        Self::NetworkUnavailable,
        Self::NoSpeaker,
        Self::NoLocalEndpoint,
        Self::Contradiction,
        Self::EndpointWithoutNode,
        Self::NotLocal,
        Self::OneNode,
        Self::Aggregated,
        Self::NoPod,
        Self::NoService,
        Self::NoPool,
        Self::NoGatewayNode,
        Self::PodOffPlacement,
        Self::NoReadyPod,
        Self::NodeTainted,
        Self::OtherPool,
        Self::Wider,
        Self::Narrower,
        Self::Disjoint,
        Self::TooComplex,
        Self::ExternalIp,
        Self::PoolConflict,
        Self::Exception,
        Self::ReportedElsewhere,
        Self::OneReplica,
        Self::NotSpread,
        Self::RolloutStopsAll,
        Self::NoDisruptionBudget,
        Self::DisruptionBudgetAllowsAll,
        Self::DisruptionBudgetAllowsNone,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unread => "UNREAD",
            Self::NoAddress => "NO_ADDRESS",
            Self::NotAnAddress => "NOT_AN_ADDRESS",
            Self::AddressInNoPool => "ADDRESS_IN_NO_POOL",
            Self::SeveralPools => "SEVERAL_POOLS",
            Self::ConfigurationRejected => "CONFIGURATION_REJECTED",
            Self::NoEndpoint => "NO_ENDPOINT",
            Self::NotAdvertised => "NOT_ADVERTISED",
            Self::ServiceNotSelected => "SERVICE_NOT_SELECTED",
            Self::SharedAddress => "SHARED_ADDRESS",
            Self::NoMemberlist => "NO_MEMBERLIST",
            Self::NodeNotSelected => "NODE_NOT_SELECTED",
            Self::NodeExcluded => "NODE_EXCLUDED",
            Self::NetworkUnavailable => "NETWORK_UNAVAILABLE",
            Self::NoSpeaker => "NO_SPEAKER",
            Self::NoLocalEndpoint => "NO_LOCAL_ENDPOINT",
            Self::Contradiction => "CONTRADICTION",
            Self::EndpointWithoutNode => "ENDPOINT_WITHOUT_NODE",
            Self::NotLocal => "NOT_LOCAL",
            Self::OneNode => "ONE_NODE",
            Self::Aggregated => "AGGREGATED",
            Self::NoPod => "NO_POD",
            Self::NoService => "NO_SERVICE",
            Self::NoPool => "NO_POOL",
            Self::NoGatewayNode => "NO_GATEWAY_NODE",
            Self::PodOffPlacement => "POD_OFF_PLACEMENT",
            Self::NoReadyPod => "NO_READY_POD",
            Self::NodeTainted => "NODE_TAINTED",
            Self::OtherPool => "OTHER_POOL",
            Self::Wider => "WIDER",
            Self::Narrower => "NARROWER",
            Self::Disjoint => "DISJOINT",
            Self::TooComplex => "TOO_COMPLEX",
            Self::ExternalIp => "EXTERNAL_IP",
            Self::PoolConflict => "POOL_CONFLICT",
            Self::Exception => "EXCEPTION",
            Self::ReportedElsewhere => "REPORTED_ELSEWHERE",
            Self::OneReplica => "ONE_REPLICA",
            Self::NotSpread => "NOT_SPREAD",
            Self::RolloutStopsAll => "ROLLOUT_STOPS_ALL",
            Self::NoDisruptionBudget => "NO_DISRUPTION_BUDGET",
            Self::DisruptionBudgetAllowsAll => "DISRUPTION_BUDGET_ALLOWS_ALL",
            Self::DisruptionBudgetAllowsNone => "DISRUPTION_BUDGET_ALLOWS_NONE",
        }
    }
}

impl fmt::Display for CauseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The cause of an outcome, or a finding on a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The code.
    pub code: CauseCode,
    /// The reason: one lowercase sentence without a full stop, with names in backticks.
    pub message: String,
    /// The change to make, in the same form.
    pub mend: String,
    /// The mend as shell commands, in order; none if a person must decide or investigate first.
    pub commands: Vec<String>,
}

impl Cause {
    pub(super) fn new(code: CauseCode, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, message: message.into(), mend: mend.into(), commands: Vec::new() }
    }

    /// The cause with these commands for its mend.
    pub(super) fn with(self, commands: impl IntoIterator<Item = String>) -> Self {
        Self { commands: commands.into_iter().collect(), ..self }
    }

    pub(super) fn unread(sources: &[Source]) -> Self {
        let kinds = join(sources.iter().map(|source| format!("`{source}`")));
        let mend = format!("grant `get`, `list` and `watch` on {kinds}, or add the objects to the input");
        Self::new(CauseCode::Unread, format!("{kinds} were not read"), mend)
    }

    pub(super) fn pending(namespace: &str) -> Self {
        Self::new(
            CauseCode::Unread,
            format!("the objects of namespace `{}` have not been read yet", excerpt(namespace)),
            "wait until they are read",
        )
    }

    pub(super) fn no_metallb() -> Self {
        Self::new(
            CauseCode::Unread,
            "the cluster does not serve MetalLB's kinds, so its configuration could not be read",
            "install MetalLB with its CustomResourceDefinitions",
        )
    }
}

/// Joins items as in a sentence: `a`, `b` and `c`.
pub(super) fn join(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Some of the names in backticks, and the number of the others.
pub(super) fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 3;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(SHOWN).map(|name| format!("`{}`", excerpt(name))).collect();
    match names.count() {
        0 => join(shown),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
