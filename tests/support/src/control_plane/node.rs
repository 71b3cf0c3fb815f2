//! Node.js: installing pinned npm packages.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::{Error, Result};

/// Copies a folder with a `package-lock.json`, and installs the packages that it names beside its files. No script of a package
/// runs.
pub(super) fn install(source: &Path, output: &Path) -> Result<()> {
    let copy = || {
        fs::create_dir(output)?;
        for path in fs::read_dir(source)? {
            let path = path?;
            fs::copy(path.path(), output.join(path.file_name()))?;
        }
        Ok::<_, std::io::Error>(())
    };
    copy().map_err(|error| Error::failed(format_args!("cannot write `{}`: {error}", output.display())))?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(output);
    let done = npm.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::Unavailable("there is no npm; install Node.js 18 or newer with npm".to_owned())
        }
        _ => Error::failed(format_args!("cannot run npm: {error}")),
    })?;
    if done.status.success() {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "npm cannot install the packages of `{}`; check the network:\n{}",
        source.display(),
        String::from_utf8_lossy(&done.stderr)
    )))
}
