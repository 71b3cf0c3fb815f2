//! Comparison of two assessments: before and after a change.

use super::{AddressAssessment, Assessment, CauseCode, NodeScope, Outcome};
use crate::election::MetalLbVersion;
use crate::snapshot::{Inventory, ObjectKey};

impl Outcome {
    /// Whether this outcome is worse than another one. Silent is worse than Lost, because nothing answers, and Unknown
    /// is the worst, because it may be any outcome.
    #[must_use]
    pub const fn is_worse_than(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Preserved => 0,
            Self::Fragile(_) => 1,
            Self::Lost(_) => 2,
            Self::Silent(_) => 3,
            Self::Unknown(_) => 4,
        }
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
