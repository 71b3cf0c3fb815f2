//! Renewals of the files, while they are served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::load::{Contents, FilesError, KeyPairFiles};
use crate::certs::metrics::Metrics;
use crate::error::chain;

/// How often files are read again, if nothing else is wished: far more often than the minute or so that
/// the kubelet takes to bring a new Secret into a pod.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// A file that changes is read again after this long, and taken only once it has come to rest.
pub(in crate::certs) const REST: Duration = Duration::from_millis(100);

/// Follows a pair of files. The last good pair is served until there is a better one.
pub struct Reloader {
    files: KeyPairFiles,
    interval: Duration,
    metrics: Metrics,
    served: Contents,
    current: watch::Sender<Arc<ServerConfig>>,
    complaint: Option<String>,
}

/// Leaves out what is served: it holds the key.
impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("files", &self.files)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl Reloader {
    /// Loads the pair for the first time; [`Reloader::run`] will look for another one every `interval`, which
    /// must not be zero: the files would be read without a pause.
    ///
    /// # Errors
    /// Files that hold no pair: there is nothing yet that could be served instead.
    pub async fn start(
        files: KeyPairFiles,
        interval: Duration,
        metrics: Metrics,
    ) -> Result<(Self, watch::Receiver<Arc<ServerConfig>>), FilesError> {
        let served = files.read().await?;
        let pair = files.parse(&served)?;
        metrics.serves(&pair);
        let (current, follow) = watch::channel(pair.config);
        let complaint = None;
        Ok((Self { files, interval, metrics, served, current, complaint }, follow))
    }

    /// Looks for a new pair every interval, until nobody follows any more.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.current.closed() => return,
                () = sleep(self.interval) => {}
            }
            match self.look().await {
                Ok(()) => self.complaint = None,
                Err(error) => self.complain(&error),
            }
        }
    }

    async fn look(&mut self) -> Result<(), FilesError> {
        let mut found = self.files.read().await?;
        if found == self.served {
            return Ok(());
        }
        // The two files are not read in one moment, and a file may be caught half-written.
        loop {
            sleep(REST).await;
            let again = self.files.read().await?;
            if again == found {
                break;
            }
            found = again;
        }
        let pair = self.files.parse(&found)?;
        self.metrics.reloaded(&pair);
        self.served = found;
        self.current.send_replace(pair.config);
        info!(cert = %self.files.cert.display(), not_after = pair.not_after, "key pair reloaded");
        Ok(())
    }

    /// Counts every failure, and logs those that are news.
    fn complain(&mut self, error: &FilesError) {
        self.metrics.reload_failed();
        let complaint = chain(error);
        if self.is_news(&complaint) {
            warn!(error = complaint, "key pair not reloaded; the last good one is still served");
        }
    }

    fn is_news(&mut self, complaint: &str) -> bool {
        self.complaint.replace(complaint.to_owned()).is_none_or(|last| last != complaint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;
    use rcgen::{CertificateParams, KeyPair as Key, date_time_ymd};
    use std::fs;
    use tempfile::TempDir;

    /// A directory with a pair, and who follows it.
    struct Desk {
        directory: TempDir,
        reloader: Reloader,
        follow: watch::Receiver<Arc<ServerConfig>>,
        registry: Registry,
    }

    impl Desk {
        async fn start() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let files = KeyPairFiles {
                cert: directory.path().join("tls.crt"),
                key: directory.path().join("tls.key"),
            };
            let (cert, key) = pem(2040);
            fs::write(&files.cert, cert).unwrap();
            fs::write(&files.key, key).unwrap();
            let (mut registry, metrics) = (Registry::default(), Metrics::default());
            metrics.register(&mut registry);
            let (reloader, follow) = Reloader::start(files, INTERVAL, metrics).await.unwrap();
            Self { directory, reloader, follow, registry }
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.directory.path().join(file), text).unwrap();
        }

        fn shows(&self, line: &str) -> bool {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
            text.lines().any(|shown| shown == line)
        }

        fn has_changed(&mut self) -> bool {
            let changed = self.follow.has_changed().unwrap();
            self.follow.mark_unchanged();
            changed
        }
    }

    fn pem(expires: i32) -> (String, String) {
        let key = Key::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(expires, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[tokio::test]
    async fn a_new_pair_is_served_and_its_expiry_shown() {
        let mut desk = Desk::start().await;
        assert!(desk.shows("tls_certificate_expiry_timestamp_seconds 2208988800"));
        let (cert, key) = pem(2041);
        desk.write("tls.crt", &cert);
        desk.write("tls.key", &key);
        desk.reloader.look().await.unwrap();
        assert!(desk.has_changed());
        desk.reloader.look().await.unwrap();
        assert!(!desk.has_changed(), "it is taken over once");
        assert!(desk.shows("tls_certificate_expiry_timestamp_seconds 2240611200"));
        assert!(desk.shows("tls_reloads_total{result=\"ok\"} 1"));
    }

    #[tokio::test]
    async fn the_same_bytes_are_no_renewal() {
        let mut desk = Desk::start().await;
        let same = fs::read_to_string(desk.directory.path().join("tls.crt")).unwrap();
        desk.write("tls.crt", &same);
        desk.reloader.look().await.unwrap();
        assert!(!desk.has_changed());
        assert!(desk.shows("tls_reloads_total{result=\"ok\"} 0"));
    }

    #[tokio::test]
    async fn half_a_renewal_is_not_served_and_the_other_half_completes_it() {
        let mut desk = Desk::start().await;
        let (cert, key) = pem(2041);
        desk.write("tls.crt", &cert);
        let error = desk.reloader.look().await.unwrap_err();
        desk.reloader.complain(&error);
        assert!(!desk.has_changed());
        assert!(desk.shows("tls_reloads_total{result=\"failed\"} 1"));
        assert!(desk.shows("tls_certificate_expiry_timestamp_seconds 2208988800"));
        desk.write("tls.key", &key);
        desk.reloader.look().await.unwrap();
        assert!(desk.has_changed());
    }

    #[tokio::test]
    async fn files_that_still_change_are_waited_for() {
        let mut desk = Desk::start().await;
        let (cert, key) = pem(2041);
        let key_file = desk.directory.path().join("tls.key");
        desk.write("tls.crt", &cert);
        let other_half = async {
            sleep(REST / 4).await;
            fs::write(key_file, key).unwrap();
        };
        let (outcome, ()) = tokio::join!(desk.reloader.look(), other_half);
        outcome.unwrap();
        assert!(desk.has_changed());
    }

    #[tokio::test]
    async fn an_error_is_news_once() {
        let mut desk = Desk::start().await;
        for (complaint, news) in [("one", true), ("one", false), ("other", true), ("one", true)] {
            assert_eq!(desk.reloader.is_news(complaint), news);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_gone_changes_nothing() {
        let mut desk = Desk::start().await;
        fs::remove_file(desk.directory.path().join("tls.key")).unwrap();
        assert!(matches!(desk.reloader.look().await, Err(FilesError::Read { flag: "--tls-key", .. })));
        assert!(!desk.has_changed());
    }

    #[tokio::test]
    async fn an_error_is_told_with_its_causes() {
        let mut desk = Desk::start().await;
        desk.write("tls.crt", &pem(2041).0);
        let error = desk.reloader.look().await.unwrap_err();
        assert!(
            chain(&error)
                .ends_with("give a certificate and its own key: the key does not belong to the certificate")
        );
    }

    #[tokio::test]
    async fn it_ends_when_nobody_follows() {
        let desk = Desk::start().await;
        drop(desk.follow);
        desk.reloader.run().await;
    }
}
