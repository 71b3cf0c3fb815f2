//! A serving certificate from two PEM files.

use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::file_watcher::ReadError;
use super::serving_certificate::{ServingCertificate, ServingCertificateError};

/// The two files of a serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// A PEM file with the certificate chain, leaf first.
    pub cert: PathBuf,
    /// A PEM file with the leaf's private key: PKCS#8, SEC1 or PKCS#1, unencrypted.
    pub key: PathBuf,
}

/// The error of files without a serving certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFilesError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The certificate file is empty or not valid PEM.
    #[error("`--tls-cert` `{path}` holds no certificate chain; give a PEM file with the chain, leaf first")]
    Chain {
        /// The certificate file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The key file is empty, not valid PEM or encrypted.
    #[error(
        "`--tls-key` `{path}` holds no key; give a PEM file with an unencrypted PKCS#8, SEC1 or PKCS#1 key"
    )]
    Key {
        /// The key file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The certificate and the key cannot be served together.
    #[error(
        "`--tls-cert` `{cert}` and `--tls-key` `{key}` do not belong together; give a certificate and its own key"
    )]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The cause.
        source: ServingCertificateError,
    },
}

impl CertificateFiles {
    pub(super) fn files(&self) -> [(&'static str, PathBuf); 2] {
        [("--tls-cert", self.cert.clone()), ("--tls-key", self.key.clone())]
    }

    /// Parses the contents of the two files.
    ///
    /// # Errors
    /// If a file holds something else, or the key belongs to another certificate.
    pub fn parse(&self, [cert, key]: &[Vec<u8>; 2]) -> Result<ServingCertificate, CertificateFilesError> {
        let chain =
            chain(cert).map_err(|source| CertificateFilesError::Chain { path: self.cert.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|source| CertificateFilesError::Key { path: self.key.clone(), source })?;
        ServingCertificate::new(chain, key).map_err(|source| CertificateFilesError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::error::chain;

    fn pem() -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (cert.pem(), key)
    }

    fn parse(cert: &str, key: &str) -> Result<ServingCertificate, CertificateFilesError> {
        let files = CertificateFiles { cert: "a.crt".into(), key: "a.key".into() };
        files.parse(&[cert.into(), key.into()])
    }

    /// Returns the key inside its PKCS#8 envelope, which is the content of SEC1 files.
    fn sec1_pem(key: &KeyPair) -> String {
        let pkcs8 = key.serialize_der();
        let starts = |window: &[u8]| window[0] == 0x30 && window[2..] == [0x02, 0x01, 0x01, 0x04, 0x20];
        let inside = pkcs8.windows(7).position(starts).unwrap();
        let base64 = BASE64_STANDARD.encode(&pkcs8[inside..]);
        format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n")
    }

    #[test]
    fn a_pkcs8_or_sec1_key_is_accepted() {
        let (cert, key) = pem();
        assert!(parse(&cert, &key.serialize_pem()).is_ok());
        assert!(parse(&cert, &sec1_pem(&key)).is_ok());
    }

    #[test]
    fn the_chain_follows_the_leaf() {
        let ((leaf, key), (ca, _)) = (pem(), pem());
        assert!(parse(&format!("{leaf}{ca}"), &key.serialize_pem()).is_ok());
        let error = parse(&format!("{ca}{leaf}"), &key.serialize_pem()).unwrap_err();
        assert!(matches!(
            error,
            CertificateFilesError::Pair { source: ServingCertificateError::KeyMismatch, .. }
        ));
    }

    #[test]
    fn a_half_written_file_is_rejected() {
        let (cert, key) = pem();
        let (key, chain) = (key.serialize_pem(), format!("{cert}{cert}"));
        // Up to the end of the second certificate's first line, the file is a valid chain of one.
        let first_line = "-----BEGIN CERTIFICATE-----";
        let ambiguous = cert.trim_end().len()..cert.len() + first_line.len();
        for length in (1..chain.trim_end().len()).filter(|length| !ambiguous.contains(length)) {
            let half = chain.split_at(length).0;
            assert!(matches!(parse(half, &key), Err(CertificateFilesError::Chain { .. })), "{length}");
        }
        let half = key.split_at(key.len() / 2).0;
        assert!(matches!(parse(&cert, half), Err(CertificateFilesError::Key { .. })));
    }

    #[test]
    fn each_error_names_the_flag_and_the_remedy() {
        let ((cert, key), (_, other)) = (pem(), pem());
        let (key, other) = (key.serialize_pem(), other.serialize_pem());
        let cases = [
            (
                parse("", &key),
                "`--tls-cert` `a.crt` holds no certificate chain; give a PEM file with the chain, leaf first",
            ),
            (
                parse(&cert, ""),
                "`--tls-key` `a.key` holds no key; give a PEM file with an unencrypted PKCS#8, SEC1 or PKCS#1 key",
            ),
            (
                parse(&cert, &other),
                "`--tls-cert` `a.crt` and `--tls-key` `a.key` do not belong together; give a certificate and its own key",
            ),
        ];
        for (outcome, text) in cases {
            assert_eq!(outcome.unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn an_error_names_its_cause() {
        let ((cert, _), (_, other)) = (pem(), pem());
        let error = parse(&cert, &other.serialize_pem()).unwrap_err();
        assert!(
            chain(&error)
                .ends_with("give a certificate and its own key: the key does not belong to the certificate")
        );
    }
}
