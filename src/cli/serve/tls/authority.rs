//! The flags of a certificate authority of one's own.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::super::Failure;
use crate::certs::authority::Lifetimes;
use crate::certs::self_made::self_made;
use crate::certs::{self, KeyPair};
use crate::cluster;
use crate::cluster::authority::{Metrics, Outlets, SecretName, Settings};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct AuthorityArgs {
    /// Keep a certificate authority in this Secret, which must exist and may be empty, and serve certificates of
    /// it; the CA is put into the webhook configurations, and rotated; needs `--webhook-configuration`
    /// and `--tls-name`
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        requires = "webhook_configuration",
        requires = "tls_name",
        conflicts_with_all = ["tls_cert", "facts", "write_ca"],
        env = "LOCKSTEP_TLS_SECRET"
    )]
    tls_secret: Option<SecretName>,
    /// For how many seconds a certificate authority is valid; it is rotated after two thirds of that
    #[arg(long, value_name = "SECONDS", default_value_t = Lifetimes::default().ca.as_secs(), env = "LOCKSTEP_CA_LIFETIME")]
    ca_lifetime: u64,
    /// For how many seconds a certificate of it is valid; it is renewed after two thirds of that
    #[arg(long, value_name = "SECONDS", default_value_t = Lifetimes::default().leaf.as_secs(), env = "LOCKSTEP_LEAF_LIFETIME")]
    leaf_lifetime: u64,
    /// How many seconds after a new certificate authority was read back from every webhook configuration the first
    /// certificate of it is served
    #[arg(long, value_name = "SECONDS", default_value_t = Lifetimes::default().propagation.as_secs(), env = "LOCKSTEP_CA_PROPAGATION")]
    ca_propagation: u64,
}

/// An authority that is to be kept.
pub(super) struct Keeping {
    client: Client,
    settings: Settings,
    outlets: Outlets,
}

/// What comes of it.
pub(super) struct Kept {
    pub(super) keeping: Keeping,
    pub(super) config: watch::Receiver<Arc<ServerConfig>>,
    pub(super) relied_on: watch::Receiver<Option<String>>,
    pub(super) ready: watch::Receiver<Result<(), String>>,
}

impl AuthorityArgs {
    /// `None` if no authority is wanted.
    pub(super) async fn start(
        self,
        configuration: Option<String>,
        names: Vec<String>,
        certificates: certs::Metrics,
        registry: &mut Registry,
    ) -> Result<Option<Kept>, Failure> {
        let lifetimes = Lifetimes {
            ca: Duration::from_secs(self.ca_lifetime),
            leaf: Duration::from_secs(self.leaf_lifetime),
            propagation: Duration::from_secs(self.ca_propagation),
        };
        let (Some(secret), Some(configuration)) = (self.tls_secret, configuration) else {
            return Ok(None);
        };
        lifetimes.check()?;
        // Until there is a leaf, this keeps the port open and nobody is sent to it: `/readyz` says so.
        let KeyPair { config: placeholder, .. } = self_made(&names)?.pair;
        let (tls, config) = watch::channel(placeholder);
        let (relied_on, ca) = watch::channel(None);
        let (ready, follow) = watch::channel(Err("there is no certificate yet".to_owned()));
        let metrics = Metrics::default();
        metrics.register(registry);
        let settings = Settings { secret, configuration, names, lifetimes };
        let outlets = Outlets { tls, relied_on, ready, certificates, metrics };
        let keeping = Keeping { client: cluster::connect().await?, settings, outlets };
        Ok(Some(Kept { keeping, config, relied_on: ca, ready: follow }))
    }
}

impl Keeping {
    /// Keeps the authority, for ever.
    pub(super) async fn keep(self) -> Failure {
        cluster::authority::keep(self.client, self.settings, self.outlets).await;
        "the certificate authority is no longer tended".into()
    }
}
