//! A key pair, read from two PEM files.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::certs::pair::{KeyPair, PairError};

/// Where a key pair lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// A PEM file with the chain, leaf first.
    pub cert: PathBuf,
    /// A PEM file with the leaf's key: PKCS#8, SEC1 or PKCS#1, unencrypted.
    pub key: PathBuf,
}

/// Why the files do not hold a key pair.
#[derive(Debug, Error)]
pub enum FilesError {
    /// A file that cannot be read.
    #[error("`{flag}` `{path}` cannot be read; give the path of a PEM file that this process may read")]
    Read {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate file that is broken or empty.
    #[error("`--tls-cert` `{path}` holds no certificate chain; give a PEM file with the chain, leaf first")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A key file that is broken or empty.
    #[error(
        "`--tls-key` `{path}` holds no key; give a PEM file with an unencrypted PKCS#8, SEC1 or PKCS#1 key"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// Two files that are no pair.
    #[error("`--tls-cert` `{cert}` and `--tls-key` `{key}` are no pair; give a certificate and its own key")]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why they are none.
        source: PairError,
    },
}

impl KeyPairFiles {
    /// Reads the files and makes a pair of them.
    ///
    /// # Errors
    /// Whatever keeps the files from being a key pair.
    pub async fn load(&self) -> Result<KeyPair, FilesError> {
        self.parse(&self.read().await?)
    }

    pub(super) async fn read(&self) -> Result<Contents, FilesError> {
        Ok(Contents { cert: read("--tls-cert", &self.cert).await?, key: read("--tls-key", &self.key).await? })
    }

    pub(super) fn parse(&self, contents: &Contents) -> Result<KeyPair, FilesError> {
        let chain = certificates(&contents.cert)
            .map_err(|source| FilesError::Certificate { path: self.cert.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|source| FilesError::Key { path: self.key.clone(), source })?;
        KeyPair::new(chain, key).map_err(|source| FilesError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

/// What stands in the two files. No `Debug`: one of them is a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

async fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, FilesError> {
    tokio::fs::read(path).await.map_err(|source| FilesError::Read { flag, path: path.to_owned(), source })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use rcgen::{CertificateParams, KeyPair as Key};
    use std::error::Error;

    fn files() -> KeyPairFiles {
        KeyPairFiles { cert: "a.crt".into(), key: "a.key".into() }
    }

    fn pem() -> (String, Key) {
        let key = Key::generate().unwrap();
        let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (cert.pem(), key)
    }

    fn parse(cert: &str, key: &str) -> Result<KeyPair, FilesError> {
        files().parse(&Contents { cert: cert.into(), key: key.into() })
    }

    /// The key inside its PKCS#8 envelope, which is what SEC1 files hold.
    fn sec1_pem(key: &Key) -> String {
        let pkcs8 = key.serialize_der();
        let starts = |window: &[u8]| window[0] == 0x30 && window[2..] == [0x02, 0x01, 0x01, 0x04, 0x20];
        let inside = pkcs8.windows(7).position(starts).unwrap();
        let base64 = BASE64_STANDARD.encode(&pkcs8[inside..]);
        format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n")
    }

    #[test]
    fn a_pkcs8_or_sec1_key_makes_a_pair() {
        let (cert, key) = pem();
        assert!(parse(&cert, &key.serialize_pem()).is_ok());
        assert!(parse(&cert, &sec1_pem(&key)).is_ok());
    }

    #[test]
    fn a_chain_may_follow_the_leaf_and_must_not_precede_it() {
        let ((leaf, key), (authority, _)) = (pem(), pem());
        assert!(parse(&format!("{leaf}{authority}"), &key.serialize_pem()).is_ok());
        let error = parse(&format!("{authority}{leaf}"), &key.serialize_pem()).unwrap_err();
        assert!(matches!(error, FilesError::Pair { source: PairError::Mismatch, .. }));
    }

    #[test]
    fn a_half_written_file_is_refused() {
        let (cert, key) = pem();
        let (key, chain) = (key.serialize_pem(), format!("{cert}{cert}"));
        // Up to the end of the second certificate's first line, it cannot be told from a chain of one.
        let first_line = "-----BEGIN CERTIFICATE-----";
        let ambiguous = cert.trim_end().len()..cert.len() + first_line.len();
        for length in (1..chain.trim_end().len()).filter(|length| !ambiguous.contains(length)) {
            let half = chain.split_at(length).0;
            assert!(matches!(parse(half, &key), Err(FilesError::Certificate { .. })), "{length}");
        }
        let half = key.split_at(key.len() / 2).0;
        assert!(matches!(parse(&cert, half), Err(FilesError::Key { .. })));
    }

    #[test]
    fn every_error_names_the_flag_and_what_to_do() {
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
                "`--tls-cert` `a.crt` and `--tls-key` `a.key` are no pair; give a certificate and its own key",
            ),
        ];
        for (outcome, text) in cases {
            assert_eq!(outcome.unwrap_err().to_string(), text);
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        let error = files().load().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`--tls-cert` `a.crt` cannot be read; give the path of a PEM file that this process may read"
        );
        assert!(error.source().is_some());
    }
}
