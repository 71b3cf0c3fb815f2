//! The pinned parts of a control plane, and what was made of them before.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Error, Result, files};

/// Part of every key: raise it when parts are built differently from the same pins.
const RECIPE: &str = "1";

/// A module of another project at a fixed version: a folder with a `go.mod` of ours, and a place in the cache.
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
        let source = crate::root().join("tests/support/go").join(folder);
        let version = required_version(&source.join("go.mod"), module)?;
        let key = format!("{folder}-{version}-{:016x}", hash(&source)?);
        let cache = root()?.join("control-plane").join(key);
        Ok(Self { source, cache, module, version })
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

    /// The file or directory `name` in the cache. If it is not there, `make` creates it at the path it is given;
    /// processes that want the same wait for each other, and none ever sees a half-made one.
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
        // The process's number keeps apart a build that went on after its test was killed.
        let partial = self.cache.join(format!("{name}.{}.partial", std::process::id()));
        make(&partial)?;
        fs::rename(&partial, &wanted).map_err(|error| self.unusable(&error))?;
        Ok(wanted)
    }

    /// Held until the file is dropped; the kernel lets go of it when the process dies.
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
                // A directory is a handful of files; the next attempt has another name in any case.
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

/// Says on the real standard error what takes so long. The print macros would not do: the test harness keeps
/// what they print until the test has ended.
pub(super) fn announce(sentence: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "lockstep tests: {sentence}");
}

/// A variable that is set and not empty.
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
    // Go runs in another directory, where a relative path would mean something else.
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

/// FNV-1a over what a build depends on. The standard library's hasher may differ between releases of Rust, and
/// each would then build everything again.
fn hash(source: &Path) -> Result<u64> {
    let mut parts = vec![format!("{RECIPE} {} {}\n", env::consts::OS, env::consts::ARCH)];
    for path in files::list(source)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let content = files::read(&path)?;
        parts.push(format!("{name} {}\n{content}", content.len()));
    }
    Ok(parts.iter().flat_map(|part| part.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}
