//! Kubeconfigs: the files that are read, and what is wrong with one in a sentence.

use std::error::Error as _;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use kube::config::{InferConfigError, Kubeconfig, KubeconfigError};
use lockstep_core::escape::escape;

use super::Error;
use crate::error::chain;

/// Reads the kubeconfig at this path, or else that of `KUBECONFIG` or `~/.kube/config`.
pub(crate) fn read(path: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
    check_encoding(path)?;
    path.map_or_else(Kubeconfig::read, Kubeconfig::read_from)
}

/// Refuses a file in UTF-16 that ends within a character, because kube panics at it (kube-client 5.0, `read_path`). A pipe cannot be looked
/// at without being read, so it is not.
pub(super) fn check_encoding(path: Option<&Path>) -> Result<(), KubeconfigError> {
    for path in path.map_or_else(files, |path| vec![path.to_owned()]) {
        if is_cut_utf16(&path).unwrap_or(false) {
            let cause = io::Error::new(
                ErrorKind::InvalidData,
                "it is UTF-16 and ends within a character; save it as UTF-8",
            );
            return Err(KubeconfigError::ReadConfig(cause, path));
        }
    }
    Ok(())
}

/// The files that kube reads unless a path is given.
fn files() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    if !named.is_empty() {
        return named;
    }
    std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
}

fn is_cut_utf16(path: &Path) -> io::Result<bool> {
    let metadata = path.metadata()?;
    if !metadata.is_file() || metadata.len() % 2 == 0 {
        return Ok(false);
    }
    let mut mark = [0; 2];
    File::open(path)?.read_exact(&mut mark)?;
    Ok(matches!(mark, [0xff, 0xfe] | [0xfe, 0xff]))
}

/// The error of a kubeconfig on one line, with the path that kube's text has in quotes within quotes.
pub(super) fn words(error: &KubeconfigError) -> String {
    let words = match error {
        KubeconfigError::ReadConfig(cause, path) => {
            format!("`{}` cannot be read: {}", path.display(), chain(cause))
        }
        // The excerpt that follows is of several lines.
        error => error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    escape(&words).into_owned()
}

/// The error without a pod, and with a missing or invalid kubeconfig. kube's text contains both; its source is the
/// error of the kubeconfig.
pub(super) fn unconfigured(error: &InferConfigError) -> Error {
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<KubeconfigError>()) else {
        return Error::NoCluster(error.to_string());
    };
    let words = words(error);
    match error {
        KubeconfigError::FindPath => Error::NoCluster(words),
        KubeconfigError::ReadConfig(cause, _) if cause.kind() == ErrorKind::NotFound => {
            Error::NoCluster(words)
        }
        _ => Error::Kubeconfig(words),
    }
}
