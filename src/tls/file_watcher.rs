//! Files that are reloaded when they change.
//!
//! The files are read periodically and compared byte by byte. An inotify watch on a file would end with the first
//! renewal: the kubelet does not write to a mounted file, but swaps a symbolic link in its path.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::failure_log::FailureLog;
use super::metrics::TlsMetrics;

/// The default interval of reading the files. The kubelet takes about a minute to update a mounted Secret, so a
/// shorter interval gains nothing.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// The time for which changed files must stay unchanged before they are loaded, so that none is loaded half-written.
const SETTLE: Duration = Duration::from_millis(100);

/// The error of a file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{flag}` `{path}` cannot be read; give the path of a PEM file that this process may read")]
pub struct ReadError {
    /// The flag that names the file.
    pub flag: &'static str,
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

/// Files that are read and loaded together.
pub(super) struct FileWatcher<const N: usize> {
    files: [(&'static str, PathBuf); N],
    /// The contents that were loaded last.
    loaded: [Vec<u8>; N],
}

impl<const N: usize> FileWatcher<N> {
    /// Reads the files for the first time. Each file is given with its flag.
    pub(super) async fn open(files: [(&'static str, PathBuf); N]) -> Result<Self, ReadError> {
        let loaded = read(&files).await?;
        Ok(Self { files, loaded })
    }

    /// The contents that were loaded last.
    pub(super) const fn contents(&self) -> &[Vec<u8>; N] {
        &self.loaded
    }

    /// Calls `load` with the contents of all files whenever one has changed. If `load` rejects the contents, it gets
    /// them again every `interval`, which must not be zero.
    pub(super) async fn run<E: Error + From<ReadError> + 'static>(
        mut self,
        interval: Duration,
        metrics: TlsMetrics,
        mut failures: FailureLog,
        mut load: impl FnMut(&[Vec<u8>; N]) -> Result<(), E>,
    ) -> Infallible {
        loop {
            sleep(interval).await;
            let outcome = self.poll(&mut load).await;
            match &outcome {
                Ok(true) => metrics.count_reload(true),
                Ok(false) => {}
                Err(_) => metrics.count_reload(false),
            }
            failures.record(&outcome);
        }
    }

    /// Loads the files if they have changed, and returns whether they have.
    async fn poll<E: From<ReadError>>(
        &mut self,
        load: &mut impl FnMut(&[Vec<u8>; N]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut found = read(&self.files).await?;
        if found == self.loaded {
            return Ok(false);
        }
        loop {
            sleep(SETTLE).await;
            let again = read(&self.files).await?;
            if again == found {
                break;
            }
            found = again;
        }
        load(&found)?;
        self.loaded = found;
        Ok(true)
    }
}

async fn read<const N: usize>(files: &[(&'static str, PathBuf); N]) -> Result<[Vec<u8>; N], ReadError> {
    let mut contents = [const { Vec::new() }; N];
    for (content, (flag, path)) in contents.iter_mut().zip(files) {
        *content = read_one(flag, path).await?;
    }
    Ok(contents)
}

async fn read_one(flag: &'static str, path: &Path) -> Result<Vec<u8>, ReadError> {
    tokio::fs::read(path).await.map_err(|source| ReadError { flag, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Two files, and the contents that were loaded from them.
    struct Fixture {
        folder: TempDir,
        watcher: FileWatcher<2>,
        loads: Vec<[Vec<u8>; 2]>,
    }

    /// Contents that `load` rejects, or files that cannot be read.
    #[derive(Debug, thiserror::Error)]
    enum LoadError {
        #[error(transparent)]
        Read(#[from] ReadError),
        #[error("the files do not match")]
        Mismatch,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = ["a", "b"].map(|name| ("--flag", folder.path().join(name)));
            for (_, path) in &files {
                fs::write(path, "1").unwrap();
            }
            Self { folder, watcher: FileWatcher::open(files).await.unwrap(), loads: Vec::new() }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).unwrap();
        }

        async fn poll(&mut self) -> Result<bool, LoadError> {
            let loads = &mut self.loads;
            let load = &mut |contents: &[Vec<u8>; 2]| {
                let [a, b] = contents;
                if a != b {
                    return Err(LoadError::Mismatch);
                }
                loads.push(contents.clone());
                Ok(())
            };
            self.watcher.poll(load).await
        }
    }

    #[tokio::test]
    async fn changed_files_are_loaded_once() {
        let mut fixture = Fixture::new().await;
        fixture.write("a", "2");
        fixture.write("b", "2");
        assert!(fixture.poll().await.unwrap());
        assert!(!fixture.poll().await.unwrap());
        assert_eq!(fixture.loads, [["2", "2"].map(|content| content.as_bytes().to_vec())]);
    }

    #[tokio::test]
    async fn files_rewritten_with_the_same_bytes_are_not_loaded() {
        let mut fixture = Fixture::new().await;
        fixture.write("a", "1");
        assert!(!fixture.poll().await.unwrap());
    }

    #[tokio::test]
    async fn rejected_contents_are_offered_again_until_they_are_complete() {
        let mut fixture = Fixture::new().await;
        fixture.write("a", "2");
        for _ in 0..2 {
            assert!(matches!(fixture.poll().await, Err(LoadError::Mismatch)));
        }
        fixture.write("b", "2");
        assert!(fixture.poll().await.unwrap());
    }

    #[tokio::test]
    async fn files_that_are_still_changing_are_waited_for() {
        let mut fixture = Fixture::new().await;
        fixture.write("a", "2");
        let other = fixture.folder.path().join("b");
        let write_other = async {
            sleep(SETTLE / 4).await;
            fs::write(other, "2").unwrap();
        };
        let (outcome, ()) = tokio::join!(fixture.poll(), write_other);
        assert!(outcome.unwrap());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named_with_its_flag() {
        let mut fixture = Fixture::new().await;
        fs::remove_file(fixture.folder.path().join("b")).unwrap();
        let error = fixture.poll().await.unwrap_err();
        let path = fixture.folder.path().join("b");
        let expected = format!(
            "`--flag` `{}` cannot be read; give the path of a PEM file that this process may read",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.source().is_some());
        assert!(fixture.loads.is_empty());
    }
}
