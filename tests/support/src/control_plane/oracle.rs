//! The oracle: a program of this repository that answers questions with the code of MetalLB.
//!
//! What decides in MetalLB is not exported, so the program is compiled into a copy of its module: the files in
//! `tests/support/go/oracle/metallb` are laid over the copy, and `init` functions among them take the place of MetalLB's
//! own `main`.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::{Pin, announce};
use super::{Error, Result, files, go};

/// The folder of what is laid over MetalLB's module.
const LAYER: &str = "oracle/metallb";

/// The oracle of MetalLB 0.15.2, a program, from the cache; it is built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn metallb_oracle() -> Result<PathBuf> {
    let pin = Pin::read_with("metallb-0.15.2", "go.universe.tf/metallb", &[LAYER])?;
    let built = pin.cached("oracle", |output| {
        announce(format_args!(
            "building the oracle of MetalLB {}, once; about 1 minute on 2 cores",
            pin.version()
        ));
        let source = output.join("source");
        make(&source)?;
        files::copy(&go::module_directory(&pin)?, &source)?;
        files::copy(&crate::root().join("tests/support/go").join(LAYER), &source)?;
        go::build_in(&source, &pin, "./speaker", "", "", &output.join("speaker"))?;
        // What is kept is small, and Go finds the sources in its own cache.
        fs::remove_dir_all(&source)
            .map_err(|error| Error::failed(format_args!("cannot remove `{}`: {error}", source.display())))
    })?;
    Ok(built.join("speaker"))
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .map_err(|error| Error::failed(format_args!("cannot make `{}`: {error}", folder.display())))
}
