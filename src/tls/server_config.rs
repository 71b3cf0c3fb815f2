//! The rustls configuration of the server, which is replaced while the server runs.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{Error, ServerConfig};
use tokio::sync::watch;

use super::metrics::TlsMetrics;
use super::serving_certificate::ServingCertificate;

/// Builds a configuration that presents `certificate` and accepts every client: TLS 1.2 and 1.3, HTTP/2 and
/// HTTP/1.1, no session resumption.
///
/// # Errors
/// If the cryptography provider supports neither protocol version.
pub fn server_config(certificate: &ServingCertificate) -> Result<Arc<ServerConfig>, Error> {
    build(certificate.resolver(), None)
}

fn build(
    resolver: Arc<dyn ResolvesServerCert>,
    client_verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match client_verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // The API server never resumes a session, so sessions and tickets would be useless work.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The configuration for new connections. The certificate and the client CA are replaced separately, and each
/// replacement keeps the other. Clones share one configuration.
#[derive(Debug, Clone)]
pub(super) struct ReloadableConfig {
    current: watch::Sender<Arc<ServerConfig>>,
    metrics: TlsMetrics,
}

impl ReloadableConfig {
    /// Starts with a certificate whose expiry is not exported, because no client uses it.
    pub(super) fn with_placeholder(
        certificate: &ServingCertificate,
        metrics: TlsMetrics,
    ) -> Result<Self, Error> {
        let (current, _) = watch::channel(server_config(certificate)?);
        Ok(Self { current, metrics })
    }

    pub(super) fn new(certificate: &ServingCertificate, metrics: TlsMetrics) -> Result<Self, Error> {
        metrics.set_expiry(certificate.not_after());
        Self::with_placeholder(certificate, metrics)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    pub(super) fn set_certificate(&self, certificate: &ServingCertificate) {
        self.metrics.set_expiry(certificate.not_after());
        self.current.send_modify(|config| Arc::make_mut(config).cert_resolver = certificate.resolver());
    }

    /// Accepts only clients that `verifier` accepts. On an error, the configuration is unchanged.
    pub(super) fn set_client_verifier(&self, verifier: &Arc<dyn ClientCertVerifier>) -> Result<(), Error> {
        let mut outcome = Ok(());
        self.current.send_if_modified(|config| {
            match build(Arc::clone(&config.cert_resolver), Some(Arc::clone(verifier))) {
                Ok(next) => *config = next,
                Err(error) => outcome = Err(error),
            }
            outcome.is_ok()
        });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::super::ephemeral::Ephemeral;
    use super::*;

    #[test]
    fn http2_is_preferred_and_no_session_is_resumed() {
        let config = server_config(&Ephemeral::generate(&[]).unwrap().certificate).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(config.send_tls13_tickets, 0);
        assert!(!config.session_storage.can_cache());
    }
}
