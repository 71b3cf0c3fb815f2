//! The Go toolchain: building programs and finding modules.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::cache::Pin;
use super::{Error, Result};

/// Builds a program from a pinned module, without cgo and without paths of this machine in it.
pub(super) fn build(pin: &Pin, package: &str, link_flags: &str, output: &Path) -> Result<()> {
    build_with(pin, package, "", link_flags, output)
}

/// Builds a program with build tags, which leave out unneeded parts.
pub(super) fn build_with(
    pin: &Pin,
    package: &str,
    tags: &str,
    link_flags: &str,
    output: &Path,
) -> Result<()> {
    build_in(pin.source(), pin, package, tags, link_flags, output)
}

/// Builds a program in a folder that is a module of its own, such as a copy of the pinned one.
pub(super) fn build_in(
    folder: &Path,
    pin: &Pin,
    package: &str,
    tags: &str,
    link_flags: &str,
    output: &Path,
) -> Result<()> {
    let mut go = go(pin);
    go.current_dir(folder)
        .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath"])
        .arg(format!("-tags={tags}"))
        // The linker drops what debuggers read, so the compiler need not make it.
        .arg("-gcflags=all=-dwarf=false")
        .arg(format!("-ldflags=-s -w {link_flags}"))
        .arg("-o")
        .arg(output)
        .arg(package)
        // The compiler would spend more than a quarter of its time on collecting its garbage.
        .env("GOGC", "off")
        .env("GOMEMLIMIT", "2GiB")
        // A `toolchain` line of another project would download another Go.
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0");
    run(&mut go, pin, "set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver").map(drop)
}

/// The directory with the source of a pinned module, checked against `go.sum`.
pub(super) fn module_directory(pin: &Pin) -> Result<PathBuf> {
    let mut go = go(pin);
    go.args(["mod", "download", "-json", pin.module()]);
    let output = run(&mut go, pin, "set LOCKSTEP_TEST_CACHE to a cache filled on another machine")?;
    let module: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    module.get("Dir").and_then(Value::as_str).map(PathBuf::from).ok_or_else(|| {
        Error::failed(format_args!("`go mod download -json` names no folder for {}; update Go", pin.module()))
    })
}

fn go(pin: &Pin) -> Command {
    let mut go = Command::new("go");
    // A `go.work` in a parent folder would override the pins.
    go.current_dir(pin.source()).env("GOWORK", "off");
    go
}

/// Runs Go. `instead` is the advice for a user who cannot run it.
fn run(go: &mut Command, pin: &Pin, instead: &str) -> Result<Output> {
    let (module, version) = (pin.module(), pin.version());
    let output = go.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::Unavailable(format!(
            "{module} {version} is not in the cache, and there is no Go to make it with; \
             install Go 1.26 or newer, or {instead}"
        )),
        _ => Error::failed(format_args!("cannot run go: {error}")),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    // Go reports errors on standard error, but those of `mod download -json` in its output.
    let report = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(Error::failed(format_args!(
        "go cannot make {module} {version}; check the network and that Go is 1.26 or newer, or {instead}:\n{}",
        String::from_utf8_lossy(&report)
    )))
}
