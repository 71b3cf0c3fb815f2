//! TLS of the webhook server: the source of its certificate, its renewal, and the accepted clients.
//!
//! [`Source`] is the source of the certificate: a CA in a Secret, from which every replica signs its own certificate
//! and which Lockstep rotates ([`ca`]); files that another program renews; or an ephemeral certificate for trials.
//! [`ClientCa`] restricts the clients. After any change, [`Tls`] publishes one `Arc<ServerConfig>`: new connections
//! use it, and open ones keep their configuration.

pub mod ca;
mod certificate_files;
mod client_ca;
pub(crate) mod client_config;
mod ephemeral;
mod failure_log;
mod file_watcher;
mod metrics;
mod server_config;
mod serving_certificate;

pub use certificate_files::{CertificateFiles, CertificateFilesError};
pub use client_ca::{ClientCa, ClientCaError};
pub use ephemeral::{Ephemeral, EphemeralError};
pub use file_watcher::{RELOAD_INTERVAL, ReadError};
pub use server_config::server_config;
pub use serving_certificate::{ServingCertificate, ServingCertificateError};

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::{info, warn};

use ca::{LifetimesError, Reconciler, Settings, Status};
use failure_log::FailureLog;
use file_watcher::FileWatcher;
use metrics::{CaMetrics, TlsMetrics};
use server_config::ReloadableConfig;

use crate::cluster::WebhookConfigurations;

/// The source of the serving certificate.
#[derive(Clone)]
pub enum Source {
    /// A CA in a Secret. Every replica signs its own certificate, and keeps its key in memory.
    Secret {
        /// The client of the cluster.
        client: Client,
        /// The webhook configurations that must trust the CA.
        configurations: watch::Receiver<WebhookConfigurations>,
        /// The Secret, and the validity of certificates.
        settings: Settings,
    },
    /// Files that another program renews.
    Files(CertificateFiles),
    /// A certificate for trials, which is lost with the process.
    Ephemeral {
        /// The names of the certificate besides the local ones.
        names: Vec<String>,
        /// The file for the CA that clients must trust.
        write_ca: Option<PathBuf>,
    },
}

/// The error of TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The files contain no serving certificate.
    #[error(transparent)]
    CertificateFiles(#[from] CertificateFilesError),
    /// The file contains no client CAs.
    #[error(transparent)]
    ClientCa(#[from] ClientCaError),
    /// The lifetimes contradict each other.
    #[error(transparent)]
    Lifetimes(#[from] LifetimesError),
    /// The ephemeral certificate cannot be generated.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
    /// The CA of the ephemeral certificate cannot be written.
    #[error("`--write-ca` `{path}` cannot be written: {source}")]
    WriteCa {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The server cannot use the certificate.
    #[error("TLS cannot be configured")]
    Config(#[from] rustls::Error),
}

/// The TLS configuration of the server, and the tasks that renew it.
pub struct Tls {
    config: ReloadableConfig,
    trust_anchors: watch::Receiver<Option<String>>,
    readiness: watch::Receiver<Result<(), String>>,
    tasks: Vec<BoxFuture<'static, Infallible>>,
}

impl Tls {
    /// Loads or generates the first certificate, and registers metrics. Files are read every `reload_interval`, which
    /// must not be zero.
    ///
    /// # Errors
    /// The files, the names or the lifetimes cannot be used. A Secret that cannot be read is not an error: it is
    /// retried, and [`Tls::readiness`] reports it.
    pub async fn start(
        source: Source,
        client_ca: Option<ClientCa>,
        reload_interval: Duration,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let metrics = TlsMetrics::default();
        metrics.register(registry);
        let mut tls = match source {
            Source::Secret { client, configurations, settings } => {
                settings.lifetimes.check()?;
                // The server listens before the Secret has been read. Until then the replica is not ready, so the API
                // server does not call it and never sees this certificate.
                let placeholder = Ephemeral::generate(&settings.names)?.certificate;
                let config = ReloadableConfig::with_placeholder(&placeholder, metrics.clone())?;
                let ca_metrics = CaMetrics::default();
                ca_metrics.register(registry);
                let (reconciler, status) =
                    Reconciler::new(client, configurations, settings, config.clone(), ca_metrics);
                let Status { trust_anchors, readiness } = status;
                Self { config, trust_anchors, readiness, tasks: vec![reconciler.run().boxed()] }
            }
            Source::Files(files) => Self::from_files(files, reload_interval, metrics.clone()).await?,
            Source::Ephemeral { names, write_ca } => {
                Self::ephemeral(&names, write_ca, metrics.clone()).await?
            }
        };
        if let Some(client_ca) = client_ca {
            tls.require_client_certificates(client_ca, reload_interval, metrics).await?;
        }
        Ok(tls)
    }

    async fn from_files(
        files: CertificateFiles,
        interval: Duration,
        metrics: TlsMetrics,
    ) -> Result<Self, StartError> {
        let watcher = FileWatcher::open(files.files()).await?;
        let certificate = files.parse(watcher.contents())?;
        let mut tls = Self::with_certificate(&certificate, metrics.clone())?;
        let config = tls.config.clone();
        let failures = FailureLog::new(
            "certificate reload failed; still serving the previous certificate",
            "certificate files can be read again",
        );
        let load = move |contents: &[Vec<u8>; 2]| -> Result<(), CertificateFilesError> {
            let certificate = files.parse(contents)?;
            config.set_certificate(&certificate);
            let not_after = certificate.not_after().map(Timestamp::as_second);
            info!(cert = %files.cert.display(), not_after, "certificate reloaded");
            Ok(())
        };
        tls.tasks.push(watcher.run(interval, metrics, failures, load).boxed());
        Ok(tls)
    }

    async fn ephemeral(
        names: &[String],
        write_ca: Option<PathBuf>,
        metrics: TlsMetrics,
    ) -> Result<Self, StartError> {
        let Ephemeral { certificate, ca_pem } = Ephemeral::generate(names)?;
        warn!("serving an ephemeral certificate: for trials only, it is lost when this process exits");
        if let Some(path) = write_ca {
            let written = tokio::fs::write(&path, ca_pem).await;
            written.map_err(|source| StartError::WriteCa { path, source })?;
        }
        Ok(Self::with_certificate(&certificate, metrics)?)
    }

    /// Serves a certificate with an unknown CA.
    fn with_certificate(
        certificate: &ServingCertificate,
        metrics: TlsMetrics,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            config: ReloadableConfig::new(certificate, metrics)?,
            trust_anchors: watch::channel(None).1,
            readiness: watch::channel(Ok(())).1,
            tasks: Vec::new(),
        })
    }

    async fn require_client_certificates(
        &mut self,
        client_ca: ClientCa,
        interval: Duration,
        metrics: TlsMetrics,
    ) -> Result<(), StartError> {
        let watcher = FileWatcher::open(client_ca.files()).await?;
        self.config.set_client_verifier(&client_ca.parse(watcher.contents())?)?;
        let config = self.config.clone();
        let failures = FailureLog::new(
            "client CA reload failed; the previous client CA stays in use",
            "client CA file can be read again",
        );
        let load = move |contents: &[Vec<u8>; 1]| -> Result<(), ClientCaError> {
            config.set_client_verifier(&client_ca.parse(contents)?)?;
            info!(client_ca = %client_ca.path.display(), "client CA reloaded");
            Ok(())
        };
        self.tasks.push(watcher.run(interval, metrics, failures, load).boxed());
        Ok(())
    }

    /// The configuration for new connections.
    #[must_use]
    pub fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.subscribe()
    }

    /// The CA certificates in PEM that clients must trust; `None` if the CA is unknown.
    #[must_use]
    pub fn trust_anchors(&self) -> watch::Receiver<Option<String>> {
        self.trust_anchors.clone()
    }

    /// `Ok` after the API server trusts the served certificate; before that, the reason why it does not. It stays `Ok`
    /// when a later renewal fails, because the previous certificate is still served.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Result<(), String>> {
        self.readiness.clone()
    }

    /// Renews the certificate and the client CA. Failures are logged, counted and retried.
    pub async fn run(self) -> Infallible {
        join_all(self.tasks).await;
        // Nothing is renewed here, but the configuration must outlive the server.
        let _config = self.config;
        pending().await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { settings, .. } => f.debug_tuple("Secret").field(settings).finish(),
            Self::Files(files) => f.debug_tuple("Files").field(files).finish(),
            Self::Ephemeral { names, write_ca: _ } => f.debug_tuple("Ephemeral").field(names).finish(),
        }
    }
}
