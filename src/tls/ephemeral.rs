//! A certificate for trials, signed by a CA whose key exists only while it signs.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::ca::{Ca, CaError, Leaf, LeafError};
use super::serving_certificate::ServingCertificate;

/// The names that every ephemeral certificate is valid for.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The validity of the certificate and its CA: 30 days, long enough for a trial and too short for production.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A certificate whose key exists in memory only.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// The certificate to serve.
    pub certificate: ServingCertificate,
    /// The CA that clients must trust, in PEM.
    pub ca_pem: String,
}

/// The error of an ephemeral certificate that cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum EphemeralError {
    /// The CA cannot be generated.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The CA cannot sign the certificate, for example because a name is invalid in a certificate.
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

impl Ephemeral {
    /// Generates a CA and a certificate for `names`, `localhost`, `127.0.0.1` and `::1`, valid for 30 days.
    ///
    /// # Errors
    /// If a name is invalid in a certificate, or the system has no random numbers.
    pub fn generate(names: &[String]) -> Result<Self, EphemeralError> {
        let names: Vec<String> =
            LOCAL_NAMES.map(str::to_owned).into_iter().chain(names.iter().cloned()).collect();
        let now = Timestamp::now();
        let ca = Ca::generate(now, LIFETIME)?;
        let Leaf { certificate, .. } = Leaf::sign(&ca, &names, LIFETIME, now)?;
        Ok(Self { certificate, ca_pem: ca.certificate().pem().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConnection};

    use super::super::server_config::server_config;
    use super::*;

    /// Whether a client that trusts this CA completes the handshake with a server with this name.
    fn is_trusted(served: &Ephemeral, ca_pem: &str, name: &str) -> bool {
        let mut trust_anchors = RootCertStore::empty();
        trust_anchors.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(trust_anchors).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut server = ServerConnection::new(server_config(&served.certificate).unwrap()).unwrap();
        while client.is_handshaking() {
            if !(transfer(&mut client, &mut server) && transfer(&mut server, &mut client)) {
                return false;
            }
        }
        true
    }

    /// Passes the pending output of `from` to `to`, and returns whether `to` accepts it.
    fn transfer<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> bool {
        let mut sent = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut sent).unwrap();
        }
        let mut sent = sent.as_slice();
        while !sent.is_empty() {
            to.read_tls(&mut sent).unwrap();
            if to.process_new_packets().is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn the_certificate_is_valid_for_local_and_given_names() {
        let names = ["lockstep.lockstep-system.svc".to_owned(), "10.0.0.7".to_owned()];
        let served = Ephemeral::generate(&names).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "lockstep.lockstep-system.svc", "10.0.0.7"] {
            assert!(is_trusted(&served, &served.ca_pem, name), "{name}");
        }
        assert!(!is_trusted(&served, &served.ca_pem, "elsewhere"));
    }

    #[test]
    fn the_certificate_is_verified_by_its_own_ca_only() {
        let [served, other] = [(), ()].map(|()| Ephemeral::generate(&[]).unwrap());
        assert!(!is_trusted(&served, &other.ca_pem, "localhost"));
    }

    #[test]
    fn the_expiry_is_known() {
        let remaining = Ephemeral::generate(&[]).unwrap().certificate.not_after().unwrap();
        let remaining = remaining.duration_since(Timestamp::now());
        assert!(LIFETIME.abs_diff(remaining.unsigned_abs()) < Duration::from_secs(60));
    }

    #[test]
    fn a_name_that_is_not_valid_in_a_certificate_is_named() {
        let error = Ephemeral::generate(&["bücher.example".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`bücher.example` is not valid in a certificate; give a DNS name in ASCII or an IP address"
        );
    }
}
