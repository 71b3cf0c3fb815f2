//! The client CA in its file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;

use super::verifier::NamedVerifier;

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callers {
    /// A PEM file with the CAs that sign callers' certificates.
    pub ca: PathBuf,
    /// Of which a caller's certificate must carry one, as DNS name or common name. If there are none, it may
    /// carry any.
    pub names: Vec<String>,
}

/// Why it is not known who may call.
#[derive(Debug, Error)]
pub enum CallersError {
    /// The file cannot be read.
    #[error("`--client-ca` `{path}` cannot be read; give the path of a PEM file that this process may read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "`--client-ca` `{path}` holds no CA certificates; give a PEM file with at least one, and no others"
    )]
    Certificates {
        /// The file.
        path: PathBuf,
    },
}

impl Callers {
    pub(super) async fn read(&self) -> Result<Vec<u8>, CallersError> {
        let read = tokio::fs::read(&self.ca).await;
        read.map_err(|source| CallersError::Read { path: self.ca.clone(), source })
    }

    pub(super) fn parse(&self, pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, CallersError> {
        let verifier = roots(pem).and_then(|roots| {
            let provider = Arc::new(ring::default_provider());
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
        });
        let of_ca = verifier.ok_or_else(|| CallersError::Certificates { path: self.ca.clone() })?;
        Ok(Arc::new(NamedVerifier { of_ca, names: self.names.clone() }))
    }
}

fn roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::self_made::self_made;

    #[test]
    fn a_bundle_may_hold_several_cas_and_must_hold_one() {
        let callers = Callers { ca: "ca.pem".into(), names: Vec::new() };
        let (one, other) = (self_made(&[]).unwrap().ca_pem, self_made(&[]).unwrap().ca_pem);
        let verifier = callers.parse(format!("{one}{other}").as_bytes()).unwrap();
        assert_eq!(verifier.root_hint_subjects().len(), 2);
        assert!(verifier.client_auth_mandatory());
        for text in ["", "garbage", one.split_at(one.len() / 2).0] {
            assert_eq!(
                callers.parse(text.as_bytes()).unwrap_err().to_string(),
                "`--client-ca` `ca.pem` holds no CA certificates; give a PEM file with at least one, and no others"
            );
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        let callers = Callers { ca: "/nonexistent/ca.pem".into(), names: Vec::new() };
        assert_eq!(
            callers.read().await.unwrap_err().to_string(),
            "`--client-ca` `/nonexistent/ca.pem` cannot be read; give the path of a PEM file that this process may read"
        );
    }
}
