//! The flags of TLS.

use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;

use super::super::duration;
use crate::cluster::WebhookConfigurations;
use crate::tls::ca::{Lifetimes, LifetimesError, SecretName, Settings};
use crate::tls::{CertificateFiles, ClientCa, RELOAD_INTERVAL, Source};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct TlsArgs {
    /// Serve the certificate chain in this PEM file, leaf first; needs `--tls-key`. Without it and `--tls-secret`, an
    /// ephemeral certificate is served, for trials only
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "LOCKSTEP_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The private key of `--tls-cert`, as PEM. Both files are reloaded when they change
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "LOCKSTEP_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Interval at which the files of `--tls-cert`, `--tls-key` and `--client-ca` are checked for changes
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(RELOAD_INTERVAL),
        value_parser = duration::at_least(MIN_RELOAD_INTERVAL)
    )]
    tls_reload: Duration,
    /// A DNS name or IP address of the certificate that Lockstep signs or generates; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "tls_cert",
        value_delimiter = ',',
        env = "LOCKSTEP_TLS_NAME"
    )]
    tls_name: Vec<String>,
    /// Write the CA of the ephemeral certificate, which clients must trust, to this file as PEM
    #[arg(long, value_name = "FILE", conflicts_with = "tls_cert")]
    write_ca: Option<PathBuf>,
    /// Keep a CA in this Secret, which must exist and may be empty, and serve certificates that it signs. Lockstep
    /// rotates the CA and writes it into the webhook configurations; needs `--webhook-configuration` and `--tls-name`
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        requires = "webhook_configuration",
        requires = "tls_name",
        conflicts_with_all = ["tls_cert", "facts", "write_ca"],
        env = "LOCKSTEP_TLS_SECRET"
    )]
    tls_secret: Option<SecretName>,
    /// Validity of the CA in `--tls-secret`; the CA is rotated after two thirds of it
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(Lifetimes::default().ca),
        value_parser = duration::parse,
        env = "LOCKSTEP_CA_LIFETIME"
    )]
    ca_lifetime: Duration,
    /// Validity of the certificates that this CA signs; each is renewed after two thirds of it
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(Lifetimes::default().leaf),
        value_parser = duration::parse,
        env = "LOCKSTEP_LEAF_LIFETIME"
    )]
    leaf_lifetime: Duration,
    /// Time for which a new CA is in every webhook configuration before it signs the served certificate; less than a third of
    /// `--ca-lifetime`
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(Lifetimes::default().propagation),
        value_parser = duration::parse,
        env = "LOCKSTEP_CA_PROPAGATION"
    )]
    ca_propagation: Duration,
    /// Accept only clients with a certificate signed by one of the CAs in this PEM file, which is reloaded when it
    /// changes
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_CLIENT_CA")]
    client_ca: Option<PathBuf>,
    /// Accept only client certificates with one of these names, as DNS name or common name; may be repeated; needs
    /// `--client-ca`
    #[arg(
        long,
        value_name = "NAME",
        requires = "client_ca",
        value_delimiter = ',',
        env = "LOCKSTEP_CLIENT_NAME"
    )]
    client_name: Vec<String>,
}

/// The minimum interval. With a shorter one, reading the files would take noticeable time.
const MIN_RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The settings from the flags.
pub(super) struct TlsSettings {
    pub(super) source: Source,
    pub(super) client_ca: Option<ClientCa>,
    pub(super) reload_interval: Duration,
}

impl TlsArgs {
    /// Checks the settings that can be checked without a cluster.
    pub(super) fn check(&self) -> Result<(), LifetimesError> {
        if self.tls_secret.is_some() { self.lifetimes().check() } else { Ok(()) }
    }

    const fn lifetimes(&self) -> Lifetimes {
        Lifetimes { ca: self.ca_lifetime, leaf: self.leaf_lifetime, propagation: self.ca_propagation }
    }

    /// Returns the settings. `cluster` is the client and the webhook configurations, which `--tls-secret` requires.
    pub(super) fn settings(
        self,
        cluster: Option<(Client, watch::Receiver<WebhookConfigurations>)>,
    ) -> TlsSettings {
        let lifetimes = self.lifetimes();
        let Self {
            tls_cert,
            tls_key,
            tls_reload,
            tls_name: names,
            write_ca,
            tls_secret,
            ca_lifetime: _,
            leaf_lifetime: _,
            ca_propagation: _,
            client_ca,
            client_name,
        } = self;
        let source = match (tls_cert.zip(tls_key), tls_secret.zip(cluster)) {
            (Some((cert, key)), _) => Source::Files(CertificateFiles { cert, key }),
            (None, Some((secret, (client, configurations)))) => {
                Source::Secret { client, configurations, settings: Settings { secret, names, lifetimes } }
            }
            (None, None) => Source::Ephemeral { names, write_ca },
        };
        let client_ca = client_ca.map(|path| ClientCa { path, names: client_name });
        TlsSettings { source, client_ca, reload_interval: tls_reload }
    }
}
