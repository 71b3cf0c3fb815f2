//! The numbers of nodes that announce and serve a topology's addresses.

use std::collections::BTreeSet;

use super::State;
use super::address::Entry;
use crate::election::NodeSet;
use crate::snapshot::ResolvedTopology;

/// The numbers of nodes of a topology.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// The gateway nodes.
    pub gateway: usize,
    /// The nodes that an advertisement of the topology's pools selects.
    pub announcing: usize,
    /// The nodes with an endpoint of a Service that takes traffic.
    pub serving: usize,
}

impl<'i> State<'i> {
    /// Counts the nodes of a topology; `None` if that is not known.
    pub(super) fn count_nodes(
        &'i self,
        topology: &ResolvedTopology,
        services: &[Entry<'i>],
    ) -> Option<NodeCounts> {
        let Some(Ok(metallb)) = self.metallb.get(topology.spec.metallb_namespace.as_str()) else {
            return None;
        };
        if self.missing(topology).is_some() {
            return None;
        }
        let configuration = metallb.configuration();
        let pools = topology.spec.address_pools.iter().filter_map(|name| configuration.pool_named(name));
        let mut announcing = NodeSet::default();
        for set in pools.flat_map(|pool| metallb.announcing_nodes(pool)) {
            announcing.extend(&set);
        }
        let serving = services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry)));
        Some(NodeCounts {
            gateway: metallb.selected(&topology.placement).count(),
            announcing: announcing.len(),
            serving: serving.collect::<BTreeSet<usize>>().len(),
        })
    }
}
