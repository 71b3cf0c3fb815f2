//! The certificate that one replica serves.

use std::time::Duration;

use rcgen::{
    Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair as Key, KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use thiserror::Error;

use super::ca::Ca;
use super::moment::{CLOCK_SKEW, Moment, system_time};
use crate::certs::pair::{KeyPair, PairError};

/// A leaf, in the memory of the replica that signed it for itself.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// What to serve.
    pub pair: KeyPair,
    /// The serial number of the CA that signed it.
    pub issuer: String,
    /// The last moment in which it is valid.
    pub not_after: Moment,
    /// When two thirds of its life are over.
    pub renew_at: Moment,
}

/// Why no leaf could be signed.
#[derive(Debug, Error)]
pub enum LeafError {
    /// A CA that has expired, or that is not valid yet.
    #[error("the CA is not valid now")]
    CaNotValid,
    /// A name that no certificate can carry.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Signing failed.
    #[error("a certificate cannot be signed")]
    Sign(#[from] rcgen::Error),
    /// What was signed cannot be served.
    #[error("the certificate that was signed cannot be served")]
    Pair(#[from] PairError),
    /// The clock stands at the edge of what can be written down.
    #[error("the system's clock is out of range; set it")]
    Clock,
}

/// A name that no certificate can carry.
#[derive(Debug, Error)]
#[error("`{name}` cannot stand in a certificate; give a DNS name in ASCII or an IP address")]
pub struct NameError {
    /// The name.
    name: String,
    /// What is wrong with it.
    source: rcgen::Error,
}

impl Leaf {
    /// Signs a leaf for `names` with a key of its own, ECDSA P-256. It never outlives its CA.
    ///
    /// # Errors
    /// A CA that is not valid, a name that cannot stand in a certificate, a failure of the random numbers.
    pub fn sign(ca: &Ca, names: &[String], lifetime: Duration, now: Moment) -> Result<Self, LeafError> {
        let certificate = ca.certificate();
        if now < certificate.not_before() || now >= certificate.not_after() {
            return Err(LeafError::CaNotValid);
        }
        // A certificate knows no fractions of a second.
        let expiry = Duration::from_secs(now.saturating_add(lifetime).as_secs());
        let not_after = expiry.min(certificate.not_after());
        let (leaf, key) = signed(ca, names, now, not_after)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let pair = KeyPair::new(vec![leaf.der().clone()], key.into())?;
        let third = not_after.saturating_sub(now).checked_div(3).unwrap_or_default();
        let issuer = certificate.serial().to_owned();
        Ok(Self { pair, issuer, not_after, renew_at: not_after.saturating_sub(third) })
    }

    /// Whether `ca` should sign another one now: it is not the one that signed this, or a third of this one's
    /// life is left and another would last longer.
    #[must_use]
    pub fn is_due(&self, ca: &Ca, now: Moment) -> bool {
        let certificate = ca.certificate();
        self.issuer != certificate.serial()
            || (now >= self.renew_at && self.not_after < certificate.not_after())
    }
}

fn signed(
    ca: &Ca,
    names: &[String],
    now: Moment,
    not_after: Moment,
) -> Result<(Certificate, Key), LeafError> {
    let not_before = now.saturating_sub(CLOCK_SKEW).max(ca.certificate().not_before());
    let mut params = params(names)?;
    params.not_before = system_time(not_before).ok_or(LeafError::Clock)?.into();
    params.not_after = system_time(not_after).ok_or(LeafError::Clock)?.into();
    let key = Key::generate()?;
    Ok((params.signed_by(&key, ca.issuer())?, key))
}

/// A certificate for a server of these names; when it is valid is for the caller to say.
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
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    const NOW: Moment = Duration::from_secs(1_795_374_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    const MINUTE: Duration = Duration::from_secs(60);

    fn names() -> Vec<String> {
        vec!["lockstep.lockstep-system.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn ca() -> Ca {
        Ca::make(NOW, MONTH).unwrap()
    }

    /// What a client finds that trusts the CA and takes it for `now`.
    fn is_valid(leaf: &CertificateDer<'_>, ca: &Ca, name: &str, now: Moment) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.certificate().pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::since_unix_epoch(now)).is_ok()
    }

    #[test]
    fn a_leaf_is_verified_by_its_ca_and_by_no_other() {
        let (ca, other) = (super::tests::ca(), super::tests::ca());
        let (leaf, _) = signed(&ca, &names(), NOW, NOW + DAY).unwrap();
        for name in names() {
            assert!(is_valid(leaf.der(), &ca, &name, NOW), "{name}");
        }
        assert!(!is_valid(leaf.der(), &ca, "elsewhere", NOW));
        assert!(!is_valid(leaf.der(), &other, "127.0.0.1", NOW));
    }

    #[test]
    fn a_leaf_is_valid_for_clocks_that_are_an_hour_behind() {
        let ca = ca();
        let (leaf, _) = signed(&ca, &names(), NOW, NOW + DAY).unwrap();
        for (moment, valid) in [
            (NOW - CLOCK_SKEW - MINUTE, false),
            (NOW - CLOCK_SKEW + MINUTE, true),
            (NOW + DAY - MINUTE, true),
            (NOW + DAY + MINUTE, false),
        ] {
            assert_eq!(is_valid(leaf.der(), &ca, "127.0.0.1", moment), valid, "{moment:?}");
        }
    }

    #[test]
    fn a_leaf_is_renewed_after_two_thirds_of_its_life() {
        let ca = ca();
        let leaf = Leaf::sign(&ca, &names(), 3 * DAY, NOW).unwrap();
        assert_eq!((leaf.renew_at, leaf.not_after), (NOW + 2 * DAY, NOW + 3 * DAY));
        assert!(!leaf.is_due(&ca, NOW + 2 * DAY - MINUTE));
        assert!(leaf.is_due(&ca, NOW + 2 * DAY));
    }

    #[test]
    fn a_leaf_never_outlives_its_ca_and_is_not_renewed_in_vain() {
        let ca = ca();
        let leaf = Leaf::sign(&ca, &names(), 90 * DAY, NOW).unwrap();
        assert_eq!(leaf.not_after, ca.certificate().not_after());
        assert!(!leaf.is_due(&ca, NOW + 29 * DAY), "another one would not last longer");
        let other = Ca::make(NOW, MONTH).unwrap();
        assert!(leaf.is_due(&other, NOW));
    }

    #[test]
    fn a_ca_that_is_not_valid_signs_nothing() {
        let ca = ca();
        for now in [NOW - 2 * CLOCK_SKEW, NOW + 30 * DAY] {
            assert!(matches!(Leaf::sign(&ca, &names(), DAY, now), Err(LeafError::CaNotValid)));
        }
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_certificate_is_named() {
        let error = Leaf::sign(&ca(), &["lückstep".to_owned()], DAY, NOW).unwrap_err();
        assert!(error.to_string().starts_with("`lückstep` cannot stand in a certificate"));
    }
}
