//! Comparison of two assessments: before and after a change.

use super::{AddressAssessment, Assessment, CauseCode, NodeScope, Outcome, TopologyAssessment};
use crate::election::MetalLbVersion;
use crate::snapshot::{Inventory, ObjectKey};

impl Outcome {
    /// Whether this outcome is worse than another one. Silent is worse than Lost, because nothing answers, and Unknown
    /// is the worst, because it may be any outcome.
    #[must_use]
    pub const fn is_worse_than(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Preserved => 0,
            Self::Fragile(_) => 1,
            Self::Lost(_) => 2,
            Self::Silent(_) => 3,
            Self::Unknown(_) => 4,
        }
    }
}

impl TopologyAssessment {
    /// Whether no other state could be better: every outcome is Preserved or Unknown, and the announcing nodes are the
    /// gateway nodes.
    #[must_use]
    pub fn is_flawless(&self) -> bool {
        use CauseCode::{Disjoint, Narrower, OtherPool, Wider};
        let mut addresses = self.services.iter().flat_map(|service| &service.addresses);
        addresses.all(|address| matches!(address.outcome, Outcome::Preserved | Outcome::Unknown(_)))
            && !self
                .findings
                .iter()
                .any(|finding| matches!(finding.code, Wider | Narrower | Disjoint | OtherPool))
    }
}

impl Assessment {
    /// Explains a state that does not exist yet. MetalLB's reports describe the present state, so an election that
    /// differs from them is not a finding.
    #[must_use]
    pub fn foresee(inventory: &Inventory, version: MetalLbVersion, nodes: NodeScope) -> Self {
        let mut assessment = Self::explain(inventory, version, nodes);
        for topology in &mut assessment.topologies {
            topology.findings.retain(|finding| finding.code != CauseCode::ReportedElsewhere);
        }
        assessment
    }

    /// The assessment of an address of a Service in a topology; `None` for an address that it does not have.
    #[must_use]
    pub fn address(
        &self,
        topology: &str,
        service: &ObjectKey,
        address: Option<&str>,
    ) -> Option<&AddressAssessment> {
        let topology = self.topologies.iter().find(|held| *held.name == *topology)?;
        let service = topology.services.iter().find(|held| held.key == *service)?;
        service.addresses.iter().find(|held| held.address.as_deref() == address)
    }
}
