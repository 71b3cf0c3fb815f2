//! MetalLB's CRDs and its chart, as its releases contain them.

use std::path::PathBuf;

use super::cache::Pin;
use super::definitions::{self, Definition};
use super::options::chosen;
use super::{Result, files, go};

/// A release of MetalLB. The default is the newest one, or the one that `LOCKSTEP_METALLB` names, such as `0.13.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetalLb {
    /// 0.13.5, the oldest supported: it still has `AddressPool`.
    V0_13_5,
    /// 0.15.2, the newest whose programs can be built from its module.
    V0_15_2,
    /// 0.16.2, the newest supported.
    V0_16_2,
}

impl MetalLb {
    /// All releases, the oldest first.
    pub const ALL: [Self; 3] = [Self::V0_13_5, Self::V0_15_2, Self::V0_16_2];

    /// The version, without `v`.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::V0_13_5 => "0.13.5",
            Self::V0_15_2 => "0.15.2",
            Self::V0_16_2 => "0.16.2",
        }
    }
}

impl Default for MetalLb {
    /// # Panics
    /// If `LOCKSTEP_METALLB` names a release that the tests do not have.
    fn default() -> Self {
        chosen("LOCKSTEP_METALLB", &Self::ALL, Self::version).unwrap_or(Self::V0_16_2)
    }
}

/// The release's CRDs: one YAML text per kind, unmodified.
///
/// # Errors
/// [`super::Error::Unavailable`] if they are not in the cache and there is no Go to download them.
pub fn metallb_crds(version: MetalLb) -> Result<Vec<String>> {
    Ok(definitions(version)?.into_iter().map(|definition| definition.yaml).collect())
}

/// The release's Helm chart, unmodified.
///
/// # Errors
/// [`super::Error::Unavailable`] if it is not in the cache and there is no Go to download it.
pub fn metallb_chart(version: MetalLb) -> Result<PathBuf> {
    let pin = pin(version)?;
    pin.cached("chart", |output| {
        let chart = go::module_directory(&pin)?.join("charts/metallb");
        // Go's module cache may be emptied at any time, and its files cannot be written.
        files::copy(&chart, output)
    })
}

pub(super) fn definitions(version: MetalLb) -> Result<Vec<Definition>> {
    definitions::definitions(&pin(version)?, "config/crd/bases")
}

fn pin(version: MetalLb) -> Result<Pin> {
    pin_with(version, &[])
}

/// The pin of a release, for a build that also depends on these folders.
pub(super) fn pin_with(version: MetalLb, folders: &[&str]) -> Result<Pin> {
    Pin::read_with(&format!("metallb-{}", version.version()), "go.universe.tf/metallb", folders)
}
