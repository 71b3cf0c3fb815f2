//! Files of the harness: its directory, and readable errors.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Result};

/// The size of the excerpt of a log in an error: about fifty lines of klog.
const TAIL_BYTES: u64 = 8 * 1024;

/// A control plane's own directory, removed on drop.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    pub(super) fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("lockstep-control-plane-{}", random_hex()?));
        make_private(&path)?;
        Ok(Self(path))
    }

    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        make_private(&path)?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The servers' supervisors have removed the directory, unless a start failed before any of them ran.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a directory that only this user can enter: it holds keys and tokens.
fn make_private(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).map_err(|error| {
        Error::failed(format_args!("cannot make the directory `{}`: {error}", path.display()))
    })
}

pub(super) fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content)
        .map_err(|error| Error::failed(format_args!("cannot write `{}`: {error}", path.display())))
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Error::failed(format_args!("cannot read `{}`: {error}", path.display())))
}

/// Reads a file that a server is still writing, which may end within a character.
pub(super) fn read_growing(path: &Path) -> Result<String> {
    let bytes = fs::read(path)
        .map_err(|error| Error::failed(format_args!("cannot read `{}`: {error}", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files of a directory, sorted by name, so that results do not depend on the file system.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
    });
    let mut paths = entries
        .map_err(|error| Error::failed(format_args!("cannot list `{}`: {error}", directory.display())))?;
    paths.sort();
    Ok(paths)
}

/// The folder and all folders in it, in the order of their paths.
pub(super) fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut position = 0;
    while let Some(folder) = found.get(position) {
        let below = list(folder)?;
        found.extend(below.into_iter().filter(|path| path.is_dir()));
        position += 1;
    }
    Ok(found)
}

/// Copies what is in a folder into another one, with permission to write.
pub(super) fn copy(from: &Path, into: &Path) -> Result<()> {
    let copied = Command::new("cp").args(["-r", "--no-preserve=mode"]).arg(from.join(".")).arg(into).output();
    let problem = match copied {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::failed(format_args!("cannot copy `{}` into `{}`: {problem}", from.display(), into.display())))
}

/// The end of a log, or the reason why it cannot be read.
pub(super) fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log in `{}`: {error})", path.display()))
}

/// 128 random bits as text, for unique names and secret tokens.
pub(super) fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Error::failed(format_args!("cannot read `/dev/urandom`: {error}")))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
