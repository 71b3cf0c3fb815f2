//! MetalLB's CRDs and its chart, as its releases contain them.

use std::path::PathBuf;
use std::process::Command;

use super::cache::Pin;
use super::definitions::{self, Definition};
use super::{Error, Result, go};

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

/// The release's Helm chart, unmodified.
///
/// # Errors
/// [`super::Error::Unavailable`] if it is not in the cache and there is no Go to download it.
pub fn metallb_chart(version: MetalLb) -> Result<PathBuf> {
    let pin = pin(version)?;
    pin.cached("chart", |output| {
        let chart = go::module_directory(&pin)?.join("charts/metallb");
        // Go's module cache may be emptied at any time, and its files cannot be written.
        let copied = Command::new("cp").args(["-r", "--no-preserve=mode"]).arg(&chart).arg(output).status();
        match copied {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Error::failed(format_args!("cannot copy `{}`", chart.display()))),
        }
    })
}

pub(super) fn definitions(version: MetalLb) -> Result<Vec<Definition>> {
    definitions::definitions(&pin(version)?, "config/crd/bases")
}

fn pin(version: MetalLb) -> Result<Pin> {
    let folder = match version {
        MetalLb::V0_13_5 => "metallb-0.13.5",
        MetalLb::V0_15_2 => "metallb-0.15.2",
        MetalLb::V0_16_2 => "metallb-0.16.2",
    };
    Pin::read(folder, "go.universe.tf/metallb")
}
