//! Mutual TLS: the CAs that sign client certificates, and the accepted names.
//!
//! A client without an accepted certificate is rejected in the handshake, before a byte of its request is read.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::file_watcher::ReadError;

/// The clients that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    /// A PEM file with the CAs that sign client certificates.
    pub path: PathBuf,
    /// The accepted names: a client certificate must have one of them as a DNS name or as its common name. If empty,
    /// every name is accepted.
    pub names: Vec<String>,
}

/// The error of a file without client CAs.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file is empty, or contains something other than CA certificates.
    #[error(
        "`--client-ca` `{path}` holds no CA certificates; give a PEM file with at least one, and no others"
    )]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// The server cannot use the CAs.
    #[error("client certificates cannot be requested")]
    Config(#[from] Error),
}

impl ClientCa {
    pub(super) fn files(&self) -> [(&'static str, PathBuf); 1] {
        [("--client-ca", self.path.clone())]
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// If it holds no CA certificate, or anything else besides.
    pub fn parse(&self, [pem]: &[Vec<u8>; 1]) -> Result<Arc<dyn ClientCertVerifier>, ClientCaError> {
        let chain_verifier = trust_anchors(pem).and_then(|trust_anchors| {
            let provider = Arc::new(ring::default_provider());
            WebPkiClientVerifier::builder_with_provider(Arc::new(trust_anchors), provider).build().ok()
        });
        let chain_verifier =
            chain_verifier.ok_or_else(|| ClientCaError::Certificates { path: self.path.clone() })?;
        Ok(Arc::new(NameVerifier { chain_verifier, names: self.names.clone() }))
    }
}

fn trust_anchors(pem: &[u8]) -> Option<RootCertStore> {
    let mut trust_anchors = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        trust_anchors.add(certificate.ok()?).ok()?;
    }
    (!trust_anchors.is_empty()).then_some(trust_anchors)
}

/// A verifier that requires a client certificate signed by a client CA and with an accepted name.
#[derive(Debug)]
struct NameVerifier {
    chain_verifier: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl NameVerifier {
    fn accepts_name(&self, certificate: &CertificateDer<'_>) -> bool {
        self.names.is_empty() || names_of(certificate).iter().any(|name| self.names.contains(name))
    }
}

/// Returns the common name and the DNS names. Client certificates made by `kubeadm` have a common name only.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, x509)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let common = x509.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = x509.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let dns = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    common.chain(dns).map(str::to_owned).collect()
}

impl ClientCertVerifier for NameVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain_verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain_verifier.verify_client_cert(end_entity, intermediates, now)?;
        if self.accepts_name(end_entity) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain_verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain_verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain_verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::super::ephemeral::Ephemeral;
    use super::*;

    #[test]
    fn a_file_may_hold_several_cas_and_must_hold_one() {
        let client_ca = ClientCa { path: "ca.pem".into(), names: Vec::new() };
        let [one, other] = [(), ()].map(|()| Ephemeral::generate(&[]).unwrap().ca_pem);
        let verifier = client_ca.parse(&[format!("{one}{other}").into_bytes()]).unwrap();
        assert_eq!(verifier.root_hint_subjects().len(), 2);
        assert!(verifier.client_auth_mandatory());
        for text in ["", "garbage", one.split_at(one.len() / 2).0] {
            assert_eq!(
                client_ca.parse(&[text.into()]).unwrap_err().to_string(),
                "`--client-ca` `ca.pem` holds no CA certificates; give a PEM file with at least one, and no others"
            );
        }
    }

    #[test]
    fn the_names_of_a_certificate_are_its_common_name_and_its_dns_names() {
        let names = ["a.example", "b.example", "10.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(names_of(certificate.der()), ["kube-apiserver", "a.example", "b.example"]);
        assert!(names_of(&CertificateDer::from(b"garbage".to_vec())).is_empty());
    }
}
