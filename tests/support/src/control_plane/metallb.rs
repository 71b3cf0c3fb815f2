//! MetalLB's CRDs, as its releases contain them.

use super::Result;
use super::cache::Pin;
use super::definitions::{self, Definition};

/// A release of MetalLB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetalLb {
    /// 0.13.5, the oldest supported: it still has `AddressPool`.
    V0_13_5,
    /// 0.15.2, the newest whose programs can be built from its module.
    V0_15_2,
    /// 0.16.2, the newest supported.
    V0_16_2,
}

/// The release's CRDs: one YAML text per kind, unmodified.
///
/// # Errors
/// [`super::Error::Unavailable`] if they are not in the cache and there is no Go to download them.
pub fn metallb_crds(version: MetalLb) -> Result<Vec<String>> {
    Ok(definitions(version)?.into_iter().map(|definition| definition.yaml).collect())
}

pub(super) fn definitions(version: MetalLb) -> Result<Vec<Definition>> {
    let folder = match version {
        MetalLb::V0_13_5 => "metallb-0.13.5",
        MetalLb::V0_15_2 => "metallb-0.15.2",
        MetalLb::V0_16_2 => "metallb-0.16.2",
    };
    definitions::definitions(&Pin::read(folder, "go.universe.tf/metallb")?, "config/crd/bases")
}
