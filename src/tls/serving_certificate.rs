//! The certificate that the server presents, with its private key.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// A certificate chain and the private key of its leaf.
#[derive(Debug, Clone)]
pub struct ServingCertificate {
    key: Arc<CertifiedKey>,
    not_after: Option<Timestamp>,
}

/// The error of a chain and a key that cannot be served together.
#[derive(Debug, thiserror::Error)]
pub enum ServingCertificateError {
    /// The key belongs to another certificate.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The certificate is malformed, or the type of the key is not supported.
    #[error("the certificate or the key cannot be used")]
    Unusable(#[source] Error),
}

impl ServingCertificate {
    /// Combines `chain`, leaf first, with the leaf's `key`.
    ///
    /// # Errors
    /// If the key belongs to another certificate, the chain is empty or malformed, or the type of the key is not
    /// supported.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServingCertificateError> {
        let not_after = chain.first().and_then(not_after);
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let key = key.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => ServingCertificateError::KeyMismatch,
            other => ServingCertificateError::Unusable(other),
        })?;
        Ok(Self { key: Arc::new(key), not_after })
    }

    /// The end of the leaf's validity; `None` if it cannot be parsed.
    #[must_use]
    pub const fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)))
    }
}

fn not_after(leaf: &CertificateDer<'static>) -> Option<Timestamp> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivatePkcs8KeyDer;

    use super::*;

    fn certificate(
        params: &CertificateParams,
        signed: &KeyPair,
        served: &KeyPair,
    ) -> Result<ServingCertificate, ServingCertificateError> {
        let leaf = params.self_signed(signed).unwrap();
        let key = PrivatePkcs8KeyDer::from(served.serialize_der());
        ServingCertificate::new(vec![leaf.der().clone()], key.into())
    }

    fn params() -> CertificateParams {
        CertificateParams::new(["localhost".to_owned()]).unwrap()
    }

    #[test]
    fn the_expiry_is_read_from_the_leaf() {
        let key = KeyPair::generate().unwrap();
        for (year, seconds) in [(1999, 915_148_800), (2038, 2_145_916_800), (2050, 2_524_608_000)] {
            let mut params = params();
            params.not_after = date_time_ymd(year, 1, 1);
            let not_after = certificate(&params, &key, &key).unwrap().not_after();
            assert_eq!(not_after.map(Timestamp::as_second), Some(seconds), "{year}");
        }
    }

    #[test]
    fn the_key_of_another_certificate_is_rejected() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let error = certificate(&params(), &key, &other).unwrap_err();
        assert!(matches!(error, ServingCertificateError::KeyMismatch));
    }

    #[test]
    fn an_empty_chain_is_rejected() {
        let key = PrivatePkcs8KeyDer::from(KeyPair::generate().unwrap().serialize_der());
        let error = ServingCertificate::new(Vec::new(), key.into()).unwrap_err();
        assert!(matches!(error, ServingCertificateError::Unusable(_)));
    }
}
