//! The pinned parts of a control plane, and the cache of the programs that are built from them.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Error, Result, files};

/// Part of every key: increase it when the same pins are built differently.
const RECIPE: &str = "1";

/// A module of another project at a fixed version: a folder with a `go.mod` of this repository, and a place in the
/// cache.
#[derive(Debug)]
pub(super) struct Pin {
    source: PathBuf,
    cache: PathBuf,
    module: &'static str,
    version: String,
}

impl Pin {
    /// Reads the pin of `module` from `tests/support/go/<folder>`.
    pub(super) fn read(folder: &str, module: &'static str) -> Result<Self> {
        Self::read_with(folder, module, &[])
    }

    /// Reads the pin of `module`, for a build that also depends on these folders in `tests/support/go`.
    pub(super) fn read_with(folder: &str, module: &'static str, also: &[&str]) -> Result<Self> {
        let go = crate::root().join("tests/support/go");
        let source = go.join(folder);
        let version = required_version(&source.join("go.mod"), module)?;
        let mut folders = vec![source.clone()];
        for also in also {
            folders.extend(files::folders(&go.join(also))?);
        }
        let key = format!("{}-{version}-{:016x}", folder.replace('/', "-"), hash(&folders)?);
        let cache = root()?.join("control-plane").join(key);
        Ok(Self { source, cache, module, version })
    }

    /// Reads the pins of npm packages from `tests/support/node/<folder>`, which `package-lock.json` fixes with their hashes.
    pub(super) fn read_node(folder: &str) -> Result<Self> {
        let source = crate::root().join("tests/support/node").join(folder);
        let version = format!("{:016x}", hash(std::slice::from_ref(&source))?);
        let cache = root()?.join("node").join(format!("{folder}-{version}"));
        Ok(Self { source, cache, module: "", version })
    }

    pub(super) fn source(&self) -> &Path {
        &self.source
    }

    pub(super) fn module(&self) -> &'static str {
        self.module
    }

    /// The pinned version, with its `v`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The file or directory `name` in the cache. If it does not exist, `make` creates it at the given path. Processes
    /// that need the same one wait for each other, and never see an incomplete one.
    pub(super) fn cached(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let wanted = self.cache.join(name);
        if wanted.exists() {
            return Ok(wanted);
        }
        let _lock = self.lock(name)?;
        if wanted.exists() {
            return Ok(wanted);
        }
        self.remove_leftovers()?;
        // The process id separates this build from one that continued after its test was killed.
        let partial = self.cache.join(format!("{name}.{}.partial", std::process::id()));
        make(&partial)?;
        fs::rename(&partial, &wanted).map_err(|error| self.unusable(&error))?;
        Ok(wanted)
    }

    /// A lock that is held until the file is dropped. The kernel releases it when the process dies.
    fn lock(&self, name: &str) -> Result<File> {
        let lock = || {
            fs::create_dir_all(&self.cache)?;
            let file = File::create(self.cache.join("lock"))?;
            if file.try_lock().is_err() {
                announce(format_args!("waiting for another test, which is making {name}"));
                file.lock()?;
            }
            Ok(file)
        };
        lock().map_err(|error| self.unusable(&error))
    }

    fn remove_leftovers(&self) -> Result<()> {
        for path in files::list(&self.cache)? {
            if path.extension().is_some_and(|extension| extension == "partial") {
                // A leftover is small, and the next attempt has another name.
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
        Ok(())
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        Error::failed(format_args!(
            "cannot use the cache `{}`: {error}; set LOCKSTEP_TEST_CACHE to a directory that can be written",
            self.cache.display()
        ))
    }
}

/// Reports a long build on the real standard error. The print macros cannot: the test harness captures their output
/// until the test has ended.
pub(super) fn announce(sentence: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "lockstep tests: {sentence}");
}

/// The value of a variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn root() -> Result<PathBuf> {
    let root = variable("LOCKSTEP_TEST_CACHE")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| Path::new(&cache).join("lockstep")))
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/lockstep")))
        .ok_or_else(|| {
            Error::failed("there is no HOME to keep a cache in; set LOCKSTEP_TEST_CACHE to a directory")
        })?;
    // Go runs in another directory, where a relative path would be wrong.
    std::path::absolute(&root).map_err(|error| {
        Error::failed(format_args!("there is no path to the cache `{}`: {error}", root.display()))
    })
}

fn required_version(go_mod: &Path, module: &str) -> Result<String> {
    files::read(go_mod)?
        .lines()
        .find_map(|line| line.strip_prefix("require ")?.strip_prefix(module)?.strip_prefix(' '))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| {
            Error::failed(format_args!(
                "`{}` has no line `require {module} VERSION`; add it",
                go_mod.display()
            ))
        })
}

/// FNV-1a over everything that a build depends on. The standard library's hasher may change with releases of Rust, and
/// each would then rebuild everything.
fn hash(folders: &[PathBuf]) -> Result<u64> {
    let mut parts = vec![format!("{RECIPE} {} {}\n", env::consts::OS, env::consts::ARCH)];
    let mut paths = Vec::new();
    for folder in folders {
        paths.extend(files::list(folder)?.into_iter().filter(|path| path.is_file()));
    }
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let content = files::read(&path)?;
        parts.push(format!("{name} {}\n{content}", content.len()));
    }
    Ok(parts.iter().flat_map(|part| part.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}
