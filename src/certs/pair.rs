//! A certificate chain and its key.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use thiserror::Error as ThisError;

/// A certificate chain and its key, ready to serve.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// TLS 1.2 and 1.3, for HTTP/2 and HTTP/1.1, without resumption.
    pub config: Arc<ServerConfig>,
    /// The last second in which the leaf is valid, since 1970; `None` if the certificate does not tell.
    pub not_after: Option<u64>,
}

/// Why a chain and a key make no pair.
#[derive(Debug, ThisError)]
pub enum PairError {
    /// Two different pairs got mixed.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// The certificate is not well-formed, or the key is of a kind that is not supported.
    #[error("the certificate or the key is of no use")]
    Unusable(#[source] Error),
}

impl KeyPair {
    /// A pair of `chain`, leaf first, and the leaf's `key`.
    ///
    /// # Errors
    /// A key that belongs to another certificate, or what cannot be read at all.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, PairError> {
        let provider = Arc::new(ring::default_provider());
        let not_after = chain.first().and_then(|leaf| not_after(leaf, &provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(PairError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairError::Mismatch,
                other => PairError::Unusable(other),
            })?;
        speak(&mut config);
        Ok(Self { config: Arc::new(config), not_after })
    }
}

/// The same pair, for callers alone whose certificates `verifier` admits.
pub(super) fn admitting(
    pair: &ServerConfig,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, PairError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(PairError::Unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&pair.cert_resolver));
    speak(&mut config);
    Ok(Arc::new(config))
}

fn speak(config: &mut ServerConfig) {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // The API server never resumes a session: what makes resumption possible is work for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
}

/// Asks the verifier about the end of time: that the leaf has expired is the first thing it finds, and it
/// says since when. So the certificate is parsed by the code that parses certificates for TLS itself.
fn not_after(leaf: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<u64> {
    let leaf = ParsedCertificate::try_from(leaf).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let nobody = RootCertStore::empty();
    let algorithms = provider.signature_verification_algorithms.all;
    let verdict = verify_server_cert_signed_by_trust_anchor(&leaf, &nobody, &[], end_of_time, algorithms);
    match verdict {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair as Key, date_time_ymd};
    use rustls::pki_types::PrivatePkcs8KeyDer;

    fn pair(params: &CertificateParams, key: &Key, served: &Key) -> Result<KeyPair, PairError> {
        let leaf = params.self_signed(key).unwrap();
        KeyPair::new(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(served.serialize_der()).into())
    }

    fn params() -> CertificateParams {
        CertificateParams::new(["localhost".to_owned()]).unwrap()
    }

    #[test]
    fn a_pair_knows_when_it_expires() {
        let key = Key::generate().unwrap();
        for (year, seconds) in [(1999, 915_148_800), (2038, 2_145_916_800), (2050, 2_524_608_000)] {
            let mut params = params();
            params.not_after = date_time_ymd(year, 1, 1);
            assert_eq!(pair(&params, &key, &key).unwrap().not_after, Some(seconds), "{year}");
        }
    }

    #[test]
    fn a_pair_serves_http2_first_and_resumes_nothing() {
        let key = Key::generate().unwrap();
        let config = pair(&params(), &key, &key).unwrap().config;
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(config.send_tls13_tickets, 0);
        assert!(!config.session_storage.can_cache());
    }

    #[test]
    fn a_key_of_another_certificate_makes_no_pair() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert!(matches!(pair(&params(), &key, &other), Err(PairError::Mismatch)));
    }

    #[test]
    fn no_certificate_makes_no_pair() {
        let key = PrivatePkcs8KeyDer::from(Key::generate().unwrap().serialize_der());
        assert!(matches!(KeyPair::new(Vec::new(), key.into()), Err(PairError::Unusable(_))));
    }
}
