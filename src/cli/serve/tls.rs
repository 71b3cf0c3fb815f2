//! Where the served certificate comes from.

mod authority;
mod callers;

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::warn;

use super::Failure;
use crate::certs::callers::Gate;
use crate::certs::files::{INTERVAL, KeyPairFiles, Reloader};
use crate::certs::self_made::self_made;
use crate::certs::{KeyPair, Metrics};
use authority::{AuthorityArgs, Keeping};
use callers::CallerArgs;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct TlsArgs {
    /// The certificate chain to serve, as PEM, with `--tls-key`; without it one is made for trying out
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "LOCKSTEP_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The private key of `--tls-cert`, as PEM; both files are read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "LOCKSTEP_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Every how many seconds the files are looked at
    #[arg(long, value_name = "SECONDS", default_value_t = INTERVAL.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    tls_reload: u64,
    /// A DNS name or IP address that a certificate is made for, if it is made here; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "tls_cert",
        value_delimiter = ',',
        env = "LOCKSTEP_TLS_NAME"
    )]
    tls_name: Vec<String>,
    /// Where to write the CA certificate that clients must trust, if it is made for trying out
    #[arg(long, value_name = "FILE", conflicts_with = "tls_cert")]
    write_ca: Option<PathBuf>,
    #[command(flatten)]
    authority: AuthorityArgs,
    #[command(flatten)]
    callers: CallerArgs,
}

/// A pair that is served, and what keeps it fresh.
pub(super) struct Pair {
    config: watch::Receiver<Arc<ServerConfig>>,
    relied_on: watch::Receiver<Option<String>>,
    ready: watch::Receiver<Result<(), String>>,
    from: From,
    gate: Option<Gate>,
}

enum From {
    Files(Reloader),
    Authority(Box<Keeping>),
    Memory(watch::Sender<Arc<ServerConfig>>),
}

impl TlsArgs {
    /// Loads or makes the first pair; `configuration` is the name of the webhook configurations that are to trust it.
    pub(super) async fn start(
        mut self,
        configuration: Option<String>,
        registry: &mut Registry,
    ) -> Result<Pair, Failure> {
        let metrics = Metrics::default();
        metrics.register(registry);
        let (callers, period) = (self.callers.take(), Duration::from_secs(self.tls_reload));
        let mut pair = self.pair(configuration, &metrics, registry).await?;
        if let Some(callers) = callers {
            let (gate, config) = Gate::start(callers, period, pair.config, metrics).await?;
            (pair.config, pair.gate) = (config, Some(gate));
        }
        Ok(pair)
    }

    async fn pair(
        self,
        configuration: Option<String>,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Pair, Failure> {
        let Self { tls_cert, tls_key, tls_reload, tls_name, write_ca, authority, callers: _ } = self;
        if let (Some(cert), Some(key)) = (tls_cert, tls_key) {
            let (files, interval) = (KeyPairFiles { cert, key }, Duration::from_secs(tls_reload));
            let (reloader, config) = Reloader::start(files, interval, metrics.clone()).await?;
            return Ok(Pair::new(config, From::Files(reloader)));
        }
        if let Some(kept) =
            authority.start(configuration, tls_name.clone(), metrics.clone(), registry).await?
        {
            let from = From::Authority(Box::new(kept.keeping));
            return Ok(Pair { relied_on: kept.relied_on, ready: kept.ready, ..Pair::new(kept.config, from) });
        }
        let made = self_made(&tls_name)?;
        warn!("serving a certificate of its own making: only for trying out, it is gone with this process");
        if let Some(path) = write_ca {
            let failed = |error| format!("`--write-ca` `{}` cannot be written: {error}", path.display());
            tokio::fs::write(&path, &made.ca_pem).await.map_err(failed)?;
        }
        Ok(Pair::in_memory(made.pair, metrics))
    }
}

impl Pair {
    /// A pair that is there, of an authority that only its maker knows.
    fn new(config: watch::Receiver<Arc<ServerConfig>>, from: From) -> Self {
        Self { config, relied_on: watch::channel(None).1, ready: watch::channel(Ok(())).1, from, gate: None }
    }

    fn in_memory(pair: KeyPair, metrics: &Metrics) -> Self {
        metrics.serves(&pair);
        let (sender, config) = watch::channel(pair.config);
        Self::new(config, From::Memory(sender))
    }

    /// The CA that callers must trust, as PEM; `None` where that is not known.
    pub(super) fn relied_on(&self) -> watch::Receiver<Option<String>> {
        self.relied_on.clone()
    }

    /// Why calls cannot be answered yet.
    pub(super) fn ready(&self) -> watch::Receiver<Result<(), String>> {
        self.ready.clone()
    }

    pub(super) fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.clone()
    }

    /// Keeps the pair fresh, and who may call; comes back only if it no longer can.
    pub(super) async fn keep(self) -> Failure {
        let gate = async {
            match self.gate {
                Some(gate) => gate.run().await,
                None => pending().await,
            }
        };
        tokio::select! {
            failure = self.from.keep() => failure,
            () = gate => "the client CA is no longer looked at".into(),
        }
    }
}

impl From {
    async fn keep(self) -> Failure {
        match self {
            Self::Files(reloader) => {
                reloader.run().await;
                "the certificate files are no longer looked at".into()
            }
            Self::Authority(keeping) => keeping.keep().await,
            Self::Memory(sender) => {
                let _sender = sender;
                pending().await
            }
        }
    }
}
