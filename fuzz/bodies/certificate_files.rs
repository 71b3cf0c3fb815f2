//! PEM files: any serving certificate, key and client CA are used or refused in a sentence without a secret.
//!
//! The parts of an input are the certificate, the key and the client CA.

use lockstep::tls::{CertificateFiles, ClientCa};

pub(super) fn body(bytes: &[u8]) {
    let mut parts = super::parts(bytes).map(<[u8]>::to_vec);
    let mut next = || parts.next().unwrap_or_default();
    let (cert, key, ca) = (next(), next(), next());
    let files = CertificateFiles { cert: "tls.crt".into(), key: "tls.key".into() };
    match files.parse(&[cert, key]) {
        Ok(certificate) => drop(certificate.not_after()),
        Err(error) => super::assert_is_sentence(&error, bytes),
    }
    let client_ca = ClientCa { path: "ca.crt".into(), names: Vec::new() };
    if let Err(error) = client_ca.parse(&[ca]) {
        super::assert_is_sentence(&error, bytes);
    }
}
