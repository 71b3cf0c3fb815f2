//! The serving certificate that a replica signs for itself.

use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use rcgen::{
    Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::super::serving_certificate::{ServingCertificate, ServingCertificateError};
use super::certificate::Ca;
use super::time::{CLOCK_SKEW, earlier, later, renewal};

/// A serving certificate and its key, in the memory of the replica that signed it.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The certificate to serve.
    pub certificate: ServingCertificate,
    /// The serial number of the CA that signed the certificate.
    pub issuer: String,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
    /// The time at which a third of the validity is left.
    pub renew_at: Timestamp,
}

/// The error of a leaf that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// The CA has expired or is not yet valid.
    #[error("the CA is not valid now")]
    CaNotValid,
    /// A name is not valid in a certificate.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Signing failed.
    #[error("a certificate cannot be signed")]
    Sign(#[from] rcgen::Error),
    /// The signed certificate cannot be served.
    #[error("the signed certificate cannot be served")]
    Serve(#[from] ServingCertificateError),
}

/// The error of a name that is invalid in a certificate.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` is not valid in a certificate; give a DNS name in ASCII or an IP address")]
pub struct NameError {
    name: String,
    source: rcgen::Error,
}

impl Leaf {
    /// Signs a leaf for `names` with a new ECDSA P-256 key. It expires after `lifetime` or with its CA, whichever is
    /// first.
    ///
    /// # Errors
    /// If the CA is not valid at `now`, a name is invalid in a certificate, or the system has no random numbers.
    pub fn sign(ca: &Ca, names: &[String], lifetime: Duration, now: Timestamp) -> Result<Self, LeafError> {
        let issuer = ca.certificate();
        if now < issuer.not_before() || now >= issuer.not_after() {
            return Err(LeafError::CaNotValid);
        }
        let not_after = whole_second(later(now, lifetime)).min(issuer.not_after());
        let (leaf, key) = signed(ca, names, now, not_after)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Self {
            certificate: ServingCertificate::new(vec![leaf.der().clone()], key.into())?,
            issuer: issuer.serial().to_owned(),
            not_after,
            renew_at: renewal(now, not_after),
        })
    }

    /// Whether `ca` should sign a new leaf: another CA signed this one, or its renewal is due and a new one would be
    /// valid longer.
    #[must_use]
    pub fn is_due(&self, ca: &Ca, now: Timestamp) -> bool {
        let issuer = ca.certificate();
        self.issuer != issuer.serial() || (now >= self.renew_at && self.not_after < issuer.not_after())
    }
}

/// Truncates a time to seconds, because certificates have no fractions of a second.
fn whole_second(timestamp: Timestamp) -> Timestamp {
    Timestamp::from_second(timestamp.as_second()).unwrap_or(timestamp)
}

fn signed(
    ca: &Ca,
    names: &[String],
    now: Timestamp,
    not_after: Timestamp,
) -> Result<(Certificate, KeyPair), LeafError> {
    let not_before = earlier(now, CLOCK_SKEW).max(ca.certificate().not_before());
    let mut params = params(names)?;
    params.not_before = SystemTime::from(not_before).into();
    params.not_after = SystemTime::from(not_after).into();
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, ca.issuer())?, key))
}

/// Returns the parameters of a certificate for a server with these names, without its validity.
fn params(names: &[String]) -> Result<CertificateParams, NameError> {
    let mut params = CertificateParams::default();
    for name in names {
        let parsed = CertificateParams::new([name.clone()]);
        let parsed = parsed.map_err(|source| NameError { name: name.clone(), source })?;
        params.subject_alt_names.extend(parsed.subject_alt_names);
    }
    params.distinguished_name.push(DnType::CommonName, "lockstep");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    const MINUTE: Duration = Duration::from_secs(60);

    fn now() -> Timestamp {
        "2026-11-22T19:00:00Z".parse().unwrap()
    }

    fn names() -> Vec<String> {
        vec!["lockstep.lockstep-system.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn ca() -> Ca {
        Ca::generate(now(), MONTH).unwrap()
    }

    /// Whether a client that trusts the CA accepts the leaf at `now`.
    fn is_valid(leaf: &CertificateDer<'_>, ca: &Ca, name: &str, now: Timestamp) -> bool {
        let mut trust_anchors = RootCertStore::empty();
        trust_anchors
            .add(CertificateDer::from_pem_slice(ca.certificate().pem().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(trust_anchors), provider).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier
            .verify_server_cert(
                leaf,
                &[],
                &name,
                &[],
                UnixTime::since_unix_epoch(now.as_duration().unsigned_abs()),
            )
            .is_ok()
    }

    #[test]
    fn a_leaf_is_verified_by_its_ca_and_by_no_other() {
        let (ca, other) = (super::tests::ca(), super::tests::ca());
        let (leaf, _) = signed(&ca, &names(), now(), later(now(), DAY)).unwrap();
        for name in names() {
            assert!(is_valid(leaf.der(), &ca, &name, now()), "{name}");
        }
        assert!(!is_valid(leaf.der(), &ca, "elsewhere", now()));
        assert!(!is_valid(leaf.der(), &other, "127.0.0.1", now()));
    }

    #[test]
    fn a_leaf_is_valid_for_clocks_that_are_an_hour_behind() {
        let ca = ca();
        let (leaf, _) = signed(&ca, &names(), now(), later(now(), DAY)).unwrap();
        for (at, valid) in [
            (earlier(now(), CLOCK_SKEW + MINUTE), false),
            (earlier(now(), CLOCK_SKEW - MINUTE), true),
            (later(now(), DAY - MINUTE), true),
            (later(now(), DAY + MINUTE), false),
        ] {
            assert_eq!(is_valid(leaf.der(), &ca, "127.0.0.1", at), valid, "{at}");
        }
    }

    #[test]
    fn a_leaf_is_renewed_after_two_thirds_of_its_life() {
        let ca = ca();
        let leaf = Leaf::sign(&ca, &names(), 3 * DAY, now()).unwrap();
        assert_eq!((leaf.renew_at, leaf.not_after), (later(now(), 2 * DAY), later(now(), 3 * DAY)));
        assert!(!leaf.is_due(&ca, later(now(), 2 * DAY - MINUTE)));
        assert!(leaf.is_due(&ca, later(now(), 2 * DAY)));
    }

    #[test]
    fn a_leaf_expires_with_its_ca_and_is_renewed_only_if_that_prolongs_it() {
        let ca = ca();
        let leaf = Leaf::sign(&ca, &names(), 90 * DAY, now()).unwrap();
        assert_eq!(leaf.not_after, ca.certificate().not_after());
        assert!(!leaf.is_due(&ca, later(now(), 29 * DAY)), "another one would not last longer");
        let other = Ca::generate(now(), MONTH).unwrap();
        assert!(leaf.is_due(&other, now()));
    }

    #[test]
    fn a_ca_that_is_not_valid_signs_nothing() {
        let ca = ca();
        for at in [earlier(now(), 2 * CLOCK_SKEW), later(now(), 30 * DAY)] {
            assert!(matches!(Leaf::sign(&ca, &names(), DAY, at), Err(LeafError::CaNotValid)));
        }
    }

    #[test]
    fn a_name_that_is_not_valid_in_a_certificate_is_named() {
        let error = Leaf::sign(&ca(), &["lückstep".to_owned()], DAY, now()).unwrap_err();
        assert!(error.to_string().starts_with("`lückstep` is not valid in a certificate"));
    }
}
