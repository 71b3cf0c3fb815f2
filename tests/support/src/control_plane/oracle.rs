//! Oracles: programs of this repository that answer questions with the code of MetalLB and of Kubernetes.
//!
//! MetalLB does not export the functions that decide, so its programs are compiled into a copy of its module: the files in
//! `tests/support/go/oracle/metallb` are laid over the copy, and `init` functions among them take the place of MetalLB's
//! own `main`.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::{Pin, announce};
use super::metallb::{self, MetalLb};
use super::{Error, Result, files, go};

/// The package that reads questions and writes answers, a part of every oracle.
const LINES: &str = "oracle/lines";

/// The two programs that answer as a release of MetalLB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetalLbOracle {
    /// Answers as the speakers do: what they reject, and who announces.
    pub speaker: PathBuf,
    /// Answers as the controller does: which pool a Service gets addresses of.
    pub controller: PathBuf,
}

/// The oracle of a release of MetalLB, from the cache; it is built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn metallb_oracle(version: MetalLb) -> Result<MetalLbOracle> {
    let layers: &[&str] = match version {
        MetalLb::V0_16_2 => &["oracle/metallb", "oracle/metallb-0.16.2"],
        MetalLb::V0_13_5 | MetalLb::V0_15_2 => &["oracle/metallb"],
    };
    let pin = metallb::pin_with(version, &[layers, &[LINES]].concat())?;
    let built = pin.cached("oracle", |output| {
        announce(format_args!(
            "building the oracle of MetalLB {}, once; about 1 minute on 2 cores",
            pin.version()
        ));
        let source = output.join("source");
        make(&source)?;
        files::copy(&go::module_directory(&pin)?, &source)?;
        for layer in layers {
            lay(layer, &source)?;
        }
        lay(LINES, &source.join("internal/lines"))?;
        if version == MetalLb::V0_16_2 {
            replace_frr_k8s(&source)?;
        }
        let (tags, link_flags) = match version {
            // Its golang.org/x/net refers to a function that the linker of today's Go hides.
            MetalLb::V0_13_5 => ("lockstep_0_13", "-checklinkname=0"),
            MetalLb::V0_15_2 => ("", ""),
            MetalLb::V0_16_2 => ("lockstep_0_16", ""),
        };
        for program in ["speaker", "controller"] {
            go::build_in(&source, &pin, &format!("./{program}"), tags, link_flags, &output.join(program))?;
        }
        remove(&source)
    })?;
    Ok(MetalLbOracle { speaker: built.join("speaker"), controller: built.join("controller") })
}

/// Replaces the release of frr-k8s that MetalLB 0.16.2 requires, which the Go module proxy does not serve.
fn replace_frr_k8s(source: &Path) -> Result<()> {
    let (go_mod, go_sum) = (source.join("go.mod"), source.join("go.sum"));
    let replace = "\nreplace github.com/metallb/frr-k8s => github.com/metallb/frr-k8s v0.0.21\n";
    files::write(&go_mod, &format!("{}{replace}", files::read(&go_mod)?))?;
    let sums = files::read(&source.join("frr-k8s.sum"))?;
    files::write(&go_sum, &format!("{}{sums}", files::read(&go_sum)?))
}

/// The program that answers with the code of Kubernetes, from the cache; it is built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn kubernetes_oracle() -> Result<PathBuf> {
    const PROGRAM: &str = "oracle/kubernetes";
    let pin = Pin::read_with("kubernetes", "k8s.io/kubernetes", &[PROGRAM, LINES])?;
    let built = pin.cached("oracle", |output| {
        announce(format_args!(
            "building the oracle of Kubernetes {}, once; about 2 minutes on 2 cores",
            pin.version()
        ));
        let source = output.join("source");
        make(&source)?;
        files::copy(pin.source(), &source)?;
        lay(PROGRAM, &source.join("oracle"))?;
        lay(LINES, &source.join("lines"))?;
        go::build_in(&source, &pin, "./oracle", "", "", &output.join("kubernetes"))?;
        remove(&source)
    })?;
    Ok(built.join("kubernetes"))
}

/// Copies a folder of `tests/support/go` into a folder of the sources.
fn lay(layer: &str, into: &Path) -> Result<()> {
    make(into)?;
    files::copy(&crate::root().join("tests/support/go").join(layer), into)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .map_err(|error| Error::failed(format_args!("cannot make `{}`: {error}", folder.display())))
}

/// Removes what a program was built from: Go finds the sources in its own cache.
fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)
        .map_err(|error| Error::failed(format_args!("cannot remove `{}`: {error}", folder.display())))
}
