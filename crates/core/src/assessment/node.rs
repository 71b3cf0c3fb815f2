//! The nodes that matter for a Service.

use std::collections::BTreeSet;

use crate::election::{Layer2, Obstacle};
use crate::snapshot::ResolvedTopology;

use super::address::Entry;
use super::{CauseCode, State};

/// A node and the facts that matter for one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAssessment {
    /// The node's name.
    pub name: String,
    /// Whether the node is a gateway node.
    pub is_labelled: bool,
    /// The names of the `L2Advertisement`s that announce the Service from the node.
    pub selected_by: Vec<String>,
    /// Whether a live speaker runs on the node; `None` if speakers were not read.
    pub has_speaker: Option<bool>,
    /// Whether the node's label keeps MetalLB from announcing from it.
    pub is_excluded: bool,
    /// Whether the node's network keeps MetalLB from announcing from it.
    pub is_network_unavailable: bool,
    /// The number of endpoints on the node that take traffic.
    pub ready_endpoints: usize,
    /// The obstacle to announcing by layer 2; `None` for a candidate.
    pub obstacle: Option<CauseCode>,
}

impl<'i> State<'i> {
    /// The gateway nodes and the nodes with an endpoint, in the order of names; empty if there is no election.
    pub(super) fn nodes_of(&self, topology: &'i ResolvedTopology, entry: Entry<'i>) -> Vec<NodeAssessment> {
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
        let mut nodes: BTreeSet<usize> = metallb.selected(&topology.placement).collect();
        nodes.extend(metallb.endpoint_nodes(service));
        if let Layer2::Elected { winner, next, .. } = election.layer2 {
            nodes.extend([Some(winner), next].into_iter().flatten());
        }
        let assess = |node: usize| {
            let name = metallb.node_name(node);
            let selected_by = metallb.selected_by(service, election.pool, node);
            let active = service.endpoints().filter(|endpoint| metallb.is_active(endpoint));
            NodeAssessment {
                name: name.to_owned(),
                is_labelled: metallb
                    .node_labels(node)
                    .is_some_and(|labels| topology.placement.matches(labels)),
                selected_by: selected_by.into_iter().map(str::to_owned).collect(),
                has_speaker: metallb.has_speaker(node),
                is_excluded: metallb.is_excluded(node),
                is_network_unavailable: metallb.is_network_unavailable(node),
                ready_endpoints: active.filter(|endpoint| endpoint.node_name == name).count(),
                obstacle: metallb.obstacle(service, election.pool, node).map(code),
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
