//! A throw-away authority and a certificate of it, for trying the product out.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair as Key, KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use thiserror::Error;

use super::authority::CLOCK_SKEW;
use super::pair::{KeyPair, PairError};

/// The names that every certificate is good for.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long it all is valid: long enough to try, too short to forget.
const VALID: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A key pair whose authority nobody has heard of.
#[derive(Debug, Clone)]
pub struct SelfMade {
    /// What to serve. Its key exists in this process's memory only, and so did the authority's.
    pub pair: KeyPair,
    /// The authority's certificate as PEM: what clients have to trust.
    pub ca_pem: String,
}

/// Why no pair could be made.
#[derive(Debug, Error)]
pub enum SelfMadeError {
    /// A name that no certificate can carry.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Making or signing failed.
    #[error("the certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// What was made cannot be served.
    #[error("the certificate that was made cannot be served")]
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

/// The certificate to serve, and its key.
struct Leaf {
    cert: Certificate,
    key: Key,
}

/// Makes an authority and a certificate for this machine's local names and `names`, all ECDSA P-256.
///
/// # Errors
/// A name that cannot stand in a certificate, or a failure of the system's random numbers.
pub fn self_made(names: &[String]) -> Result<SelfMade, SelfMadeError> {
    let (leaf, authority) = make(names)?;
    let key = PrivatePkcs8KeyDer::from(leaf.key.serialize_der());
    let pair = KeyPair::new(vec![leaf.cert.der().clone()], key.into())?;
    let ca_pem = authority.pem();
    Ok(SelfMade { pair, ca_pem })
}

fn make(names: &[String]) -> Result<(Leaf, CertifiedIssuer<'static, Key>), SelfMadeError> {
    let authority = CertifiedIssuer::self_signed(authority()?, Key::generate()?)?;
    let key = Key::generate()?;
    let cert = leaf(names)?.signed_by(&key, &authority)?;
    Ok((Leaf { cert, key }, authority))
}

fn authority() -> Result<CertificateParams, SelfMadeError> {
    let mut params = valid_from_now(CertificateParams::default())?;
    params.distinguished_name.push(DnType::CommonName, "lockstep throw-away authority");
    // 0: it signs leaves, and no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(names: &[String]) -> Result<CertificateParams, SelfMadeError> {
    let local = LOCAL.map(str::to_owned).into_iter();
    valid_from_now(leaf_params(&local.chain(names.iter().cloned()).collect::<Vec<_>>())?)
}

/// A certificate for a server of these names; when it is valid is for the caller to say.
pub(super) fn leaf_params(names: &[String]) -> Result<CertificateParams, NameError> {
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

/// rcgen's own default is valid from 1975 to 4096, which some clients refuse.
fn valid_from_now(mut params: CertificateParams) -> Result<CertificateParams, SelfMadeError> {
    let now = SystemTime::now();
    params.not_before = now.checked_sub(CLOCK_SKEW).ok_or(SelfMadeError::Clock)?.into();
    params.not_after = now.checked_add(VALID).ok_or(SelfMadeError::Clock)?.into();
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

    /// What a client finds that trusts the authority and takes it for `now`.
    fn verify(
        leaf: &CertificateDer<'_>,
        ca_pem: &str,
        name: &str,
        now: SystemTime,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(leaf, &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn it_is_good_for_local_and_given_names() {
        let (leaf, authority) =
            make(&["lockstep.lockstep-system.svc".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        let (ca_pem, now) = (authority.pem(), SystemTime::now());
        for name in ["localhost", "127.0.0.1", "::1", "lockstep.lockstep-system.svc", "10.0.0.7"] {
            assert_eq!(verify(leaf.cert.der(), &ca_pem, name, now), Ok(()), "{name}");
        }
        assert!(verify(leaf.cert.der(), &ca_pem, "elsewhere", now).is_err());
    }

    #[test]
    fn it_is_valid_from_an_hour_ago_for_a_month() {
        let (leaf, authority) = make(&[]).unwrap();
        let (ca_pem, now, minute) = (authority.pem(), SystemTime::now(), Duration::from_secs(60));
        for (moment, valid) in [
            (now - CLOCK_SKEW - minute, false),
            (now - CLOCK_SKEW + minute, true),
            (now + VALID - minute, true),
            (now + VALID + minute, false),
        ] {
            assert_eq!(verify(leaf.cert.der(), &ca_pem, "localhost", moment).is_ok(), valid, "{moment:?}");
        }
    }

    #[test]
    fn nobody_else_vouches_for_it() {
        let (leaf, _) = make(&[]).unwrap();
        let stranger = self_made(&[]).unwrap().ca_pem;
        assert!(verify(leaf.cert.der(), &stranger, "localhost", SystemTime::now()).is_err());
    }

    #[test]
    fn its_expiry_is_told() {
        let month = SystemTime::now() + VALID;
        let expected = month.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
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
