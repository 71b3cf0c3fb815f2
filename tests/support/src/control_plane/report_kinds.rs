//! The CRDs of reports.

use super::Result;
use super::cache::Pin;
use super::definitions::{Definition, definitions};

/// The API group of the kinds of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKinds {
    /// OpenReports 0.2.1: `Report` and `ClusterReport` of `openreports.io`.
    OpenReports,
    /// `PolicyReport` and `ClusterPolicyReport` of `wgpolicyk8s.io`, as Kyverno 1.18.2 installs them.
    PolicyReports,
}

impl ReportKinds {
    pub(super) fn definitions(self) -> Result<Vec<Definition>> {
        let (folder, module, crds) = match self {
            Self::OpenReports => ("openreports-0.2.1", "github.com/openreports/reports-api", "config/crd"),
            Self::PolicyReports => {
                ("kyverno-1.18.2", "github.com/kyverno/kyverno", "config/crds/policyreport")
            }
        };
        definitions(&Pin::read(folder, module)?, crds)
    }
}
