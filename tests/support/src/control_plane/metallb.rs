//! MetalLB's CRDs, as its releases contain them.

use std::fs;
use std::path::Path;

use super::cache::Pin;
use super::{Error, Result, files, go};

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

/// A CRD and its name in requests.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) yaml: String,
}

/// The release's CRDs: one YAML text per kind, unmodified.
///
/// # Errors
/// [`Error::Unavailable`] if they are not in the cache and there is no Go to download them.
pub fn metallb_crds(version: MetalLb) -> Result<Vec<String>> {
    Ok(definitions(version)?.into_iter().map(|definition| definition.yaml).collect())
}

pub(super) fn definitions(version: MetalLb) -> Result<Vec<Definition>> {
    let folder = match version {
        MetalLb::V0_13_5 => "metallb-0.13.5",
        MetalLb::V0_15_2 => "metallb-0.15.2",
        MetalLb::V0_16_2 => "metallb-0.16.2",
    };
    let pin = Pin::read(folder, "go.universe.tf/metallb")?;
    let crds =
        pin.cached("crds", |output| copy(&go::module_directory(&pin)?.join("config/crd/bases"), output))?;
    files::list(&crds)?.iter().map(|path| definition(path)).collect()
}

/// Copies the CRDs, because Go's module cache may be emptied at any time.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)
        .map_err(|error| Error::failed(format_args!("cannot make `{}`: {error}", to.display())))?;
    for path in files::list(from)? {
        files::write(&to.join(path.file_name().unwrap_or_default()), &files::read(&path)?)?;
    }
    Ok(())
}

/// Reads a CRD. Its file is called `<group>_<plural>.yaml`, and its own name is `<plural>.<group>`.
fn definition(path: &Path) -> Result<Definition> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let (group, plural) = stem.split_once('_').ok_or_else(|| {
        Error::failed(format_args!("`{}` is not called GROUP_PLURAL.yaml; remove it", path.display()))
    })?;
    Ok(Definition { name: format!("{plural}.{group}"), yaml: files::read(path)? })
}
