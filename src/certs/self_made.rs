//! A throw-away CA and a certificate of it, for trying the product out.

use std::time::Duration;

use thiserror::Error;

use super::authority::{Ca, CaError, Leaf, LeafError, now};
use super::pair::KeyPair;

/// The names that every certificate is good for.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long it all is valid: long enough to try, too short to forget.
const VALID: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A key pair whose CA nobody has heard of.
#[derive(Debug, Clone)]
pub struct SelfMade {
    /// What to serve. Its key exists in this process's memory only, and so did the CA's.
    pub pair: KeyPair,
    /// The CA's certificate as PEM: what clients have to trust.
    pub ca_pem: String,
}

/// Why no pair could be made.
#[derive(Debug, Error)]
pub enum SelfMadeError {
    /// No CA could be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// It could not sign: a name that no certificate can carry, for example.
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

/// Makes a CA and a certificate for this machine's local names and `names`.
///
/// # Errors
/// A name that cannot stand in a certificate, or a failure of the system's random numbers.
pub fn self_made(names: &[String]) -> Result<SelfMade, SelfMadeError> {
    let names: Vec<String> = LOCAL.map(str::to_owned).into_iter().chain(names.iter().cloned()).collect();
    let now = now();
    let ca = Ca::make(now, VALID)?;
    let Leaf { pair, .. } = Leaf::sign(&ca, &names, VALID, now)?;
    Ok(SelfMade { pair, ca_pem: ca.certificate().pem().to_owned() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConnection};

    use super::*;

    /// Whether a client that trusts this CA comes through the handshake under this name.
    fn is_trusted(made: &SelfMade, ca_pem: &str, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&made.pair.config)).unwrap();
        while client.is_handshaking() {
            if !(carry(&mut client, &mut server) && carry(&mut server, &mut client)) {
                return false;
            }
        }
        true
    }

    /// Whether the one takes what the other says.
    fn carry<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> bool {
        let mut said = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut said).unwrap();
        }
        let mut said = said.as_slice();
        while !said.is_empty() {
            to.read_tls(&mut said).unwrap();
            if to.process_new_packets().is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn it_is_good_for_local_and_given_names() {
        let made = self_made(&["lockstep.lockstep-system.svc".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "lockstep.lockstep-system.svc", "10.0.0.7"] {
            assert!(is_trusted(&made, &made.ca_pem, name), "{name}");
        }
        assert!(!is_trusted(&made, &made.ca_pem, "elsewhere"));
    }

    #[test]
    fn nobody_else_vouches_for_it() {
        let (made, stranger) = (self_made(&[]).unwrap(), self_made(&[]).unwrap());
        assert!(!is_trusted(&made, &stranger.ca_pem, "localhost"));
    }

    #[test]
    fn its_expiry_is_told() {
        let expected = (now() + VALID).as_secs();
        assert!(self_made(&[]).unwrap().pair.not_after.unwrap().abs_diff(expected) < 60);
    }

    #[test]
    fn a_name_that_no_certificate_carries_is_named() {
        let error = self_made(&["bücher.example".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`bücher.example` cannot stand in a certificate; give a DNS name in ASCII or an IP address"
        );
    }
}
