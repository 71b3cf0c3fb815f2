//! The nodes that matter for a Service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::election::{Layer2, Obstacle};
use crate::labels::Selector;
use crate::snapshot::{Advertisement, ResolvedTopology};

use super::address::Entry;
use super::{CauseCode, State};

/// The nodes that an explanation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeScope {
    /// The nodes that matter: gateway nodes, nodes with an endpoint, nodes that announce, and those that the `nodeSelectors` of
    /// an advertisement select. An advertisement for every node selects none in particular.
    Relevant,
    /// Every node.
    Every,
}

/// A node and the facts that matter for one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAssessment {
    /// The node's name.
    pub name: String,
    /// Whether the node is a gateway node.
    pub is_labelled: bool,
    /// The names of the `L2Advertisement`s that announce the Service from the node.
    pub selected_by: Vec<String>,
    /// The names of the `BGPAdvertisement`s that announce the Service from the node.
    pub selected_by_bgp: Vec<String>,
    /// Whether a live speaker runs on the node; `None` if speakers were not read.
    pub has_speaker: Option<bool>,
    /// Whether the node's label keeps MetalLB from announcing from it.
    pub is_excluded: bool,
    /// Whether the node's network keeps MetalLB from announcing from it.
    pub is_network_unavailable: bool,
    /// The number of endpoints on the node, whether they take traffic or not.
    pub endpoints: usize,
    /// The number of endpoints on the node that take traffic.
    pub ready_endpoints: usize,
    /// The node's taints that keep pods away, as `kubectl taint` writes them.
    pub taints: Vec<String>,
    /// The node's first `InternalIP` of each IP family, the primary one first.
    pub internal_ips: Vec<IpAddr>,
    /// The obstacle to announcing by layer 2, or by BGP where nothing else announces the pool; `None` for a candidate.
    pub obstacle: Option<CauseCode>,
}

impl<'i> State<'i> {
    /// The nodes in scope, in the order of names; empty if there is no election.
    pub(super) fn nodes_of(
        &self,
        topology: &'i ResolvedTopology,
        entry: Entry<'i>,
        scope: NodeScope,
    ) -> Vec<NodeAssessment> {
        let service = self.balanced(entry);
        let Some(Ok(metallb)) = self.metallb.get(topology.spec.metallb_namespace.as_str()) else {
            return Vec::new();
        };
        let Ok(election) = metallb.elect(service) else {
            return Vec::new();
        };
        if self.missing(topology).is_some() {
            return Vec::new();
        }
        let nodes: BTreeSet<usize> = match scope {
            NodeScope::Every => (0..metallb.node_count()).collect(),
            NodeScope::Relevant => {
                let mut nodes: BTreeSet<usize> = metallb.selected(&topology.placement).collect();
                nodes
                    .extend(service.endpoints().filter_map(|endpoint| metallb.position(&endpoint.node_name)));
                nodes.extend(&election.bgp);
                if let Layer2::Elected { winner, next, .. } = election.layer2 {
                    nodes.extend([Some(winner), next].into_iter().flatten());
                }
                let selectors = metallb.advertisements_of(service, election.pool);
                let narrow = selectors
                    .map(Advertisement::nodes)
                    .filter(|selectors| !selectors.iter().any(Selector::is_everything));
                nodes.extend(narrow.flatten().flat_map(|selector| metallb.selected(selector)));
                nodes
            }
        };
        let pool = metallb.configuration().pool(election.pool);
        let is_bgp_only = pool.is_some_and(|pool| pool.layer2.is_empty() && !pool.bgp.is_empty());
        let assess = |node: usize| {
            let name = metallb.node_name(node);
            let selected_by = metallb.selected_by(service, election.pool, node);
            let bgp = metallb.selected_by_bgp(service, election.pool, node);
            let on_node = service.endpoints().filter(|endpoint| endpoint.node_name == name);
            let active = service.endpoints().filter(|endpoint| metallb.is_active(endpoint));
            NodeAssessment {
                name: name.to_owned(),
                is_labelled: metallb
                    .node_labels(node)
                    .is_some_and(|labels| topology.placement.matches(labels)),
                selected_by: selected_by.into_iter().map(str::to_owned).collect(),
                selected_by_bgp: bgp.into_iter().map(str::to_owned).collect(),
                has_speaker: metallb.has_speaker(node),
                is_excluded: metallb.is_excluded(node),
                is_network_unavailable: metallb.is_network_unavailable(node),
                endpoints: on_node.count(),
                taints: metallb.node_taints(node).map(ToString::to_string).collect(),
                internal_ips: metallb.node_internal_ips(node).to_vec(),
                ready_endpoints: active.filter(|endpoint| endpoint.node_name == name).count(),
                obstacle: if is_bgp_only {
                    metallb.bgp_obstacle(service, election.pool, node).map(code)
                } else {
                    metallb.obstacle(service, election.pool, node).map(code)
                },
            }
        };
        nodes.into_iter().map(assess).collect()
    }
}

fn code(obstacle: Obstacle) -> CauseCode {
    match obstacle {
        Obstacle::NoSpeaker => CauseCode::NoSpeaker,
        Obstacle::NetworkUnavailable => CauseCode::NetworkUnavailable,
        Obstacle::Excluded => CauseCode::NodeExcluded,
        Obstacle::NotSelected => CauseCode::NodeNotSelected,
        Obstacle::Rejected => CauseCode::ConfigurationRejected,
        Obstacle::Contradiction => CauseCode::Contradiction,
        Obstacle::NoLocalEndpoint => CauseCode::NoLocalEndpoint,
    }
}
