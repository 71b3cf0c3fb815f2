//! CRDs, as the releases of other projects contain them.

use std::fs;
use std::path::Path;

use super::cache::Pin;
use super::{Error, Result, files, go};

/// A CRD and its name in requests.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) yaml: String,
}

/// The CRDs in a folder of a pinned module: one YAML text per kind, unmodified.
///
/// # Errors
/// [`Error::Unavailable`] if they are not in the cache and there is no Go to download them.
pub(super) fn definitions(pin: &Pin, folder: &str) -> Result<Vec<Definition>> {
    let crds = pin.cached("crds", |output| copy(&go::module_directory(pin)?.join(folder), output))?;
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
