//! A CA: its certificate, and its key for as long as it signs.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::time::{CLOCK_SKEW, earlier, later, renewal};

/// The certificate of a CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    pem: String,
    serial: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A CA that can sign.
pub struct Ca {
    certificate: CaCertificate,
    issuer: Issuer<'static, KeyPair>,
}

/// The error of a CA that cannot be parsed or generated. The messages continue a sentence about a value, such as "its
/// `ca.crt`".
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The value is not exactly one certificate.
    #[error("is not one certificate as PEM")]
    Certificate,
    /// The certificate may not sign other certificates.
    #[error("is not the certificate of a CA")]
    NotCa,
    /// The value is not a private key.
    #[error("is not a private key as PEM")]
    Key,
    /// The key belongs to another certificate.
    #[error("is not the key of its certificate")]
    Mismatch,
    /// The CA cannot be generated.
    #[error("a CA cannot be generated")]
    Generate(#[from] rcgen::Error),
}

impl CaCertificate {
    pub(super) fn parse(pem: &[u8]) -> Result<Self, CaError> {
        let text = std::str::from_utf8(pem).map_err(|_| CaError::Certificate)?;
        let der = one(pem).ok_or(CaError::Certificate)?;
        let x509 = parse(&der).ok_or(CaError::Certificate)?;
        if !x509.is_ca() {
            return Err(CaError::NotCa);
        }
        let validity = x509.validity();
        Ok(Self {
            serial: hex(x509.raw_serial()),
            not_before: timestamp(validity.not_before.timestamp()),
            not_after: timestamp(validity.not_after.timestamp()),
            pem: text.to_owned(),
        })
    }

    /// The certificate in PEM, as it was read.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The serial number in hexadecimal, as in the output of `openssl x509 -serial`. It is random, so no two CAs share
    /// one.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The start of its validity.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The end of its validity.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The time at which the next CA is due: when a third of this one's validity is left. It depends only on the
    /// certificate, so that replicas with different flags agree.
    pub(super) fn due(&self) -> Timestamp {
        renewal(later(self.not_before, CLOCK_SKEW), self.not_after)
    }
}

impl Ca {
    /// Generates a CA with an ECDSA P-256 key. It is valid from an hour before `now` until `lifetime` after `now`.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn generate(now: Timestamp, lifetime: Duration) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.not_before = SystemTime::from(earlier(now, CLOCK_SKEW)).into();
        params.not_after = SystemTime::from(later(now, lifetime)).into();
        // The name is unique: a verifier that looks for the issuer by name must find only one CA.
        let identifier = params.key_identifier(&key);
        let id = hex(identifier.get(..8).unwrap_or(&identifier));
        params.distinguished_name.push(DnType::CommonName, format!("lockstep CA {id}"));
        // Path length 0: the CA signs leaves only, no other CA.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Self::new(CaCertificate::parse(pem.as_bytes())?, key)
    }

    pub(super) fn parse(certificate: CaCertificate, key: &[u8]) -> Result<Self, CaError> {
        let key = std::str::from_utf8(key).map_err(|_| CaError::Key)?;
        let key = KeyPair::from_pem(key).map_err(|_| CaError::Key)?;
        let der = one(certificate.pem.as_bytes()).ok_or(CaError::Certificate)?;
        let x509 = parse(&der).ok_or(CaError::Certificate)?;
        if x509.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CaError::Mismatch);
        }
        Self::new(certificate, key)
    }

    fn new(certificate: CaCertificate, key: KeyPair) -> Result<Self, CaError> {
        let issuer = Issuer::from_ca_cert_pem(&certificate.pem, key)?;
        Ok(Self { certificate, issuer })
    }

    /// The certificate of this CA.
    #[must_use]
    pub const fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(super) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// Compares the certificates, which determine the keys.
impl PartialEq for Ca {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl Eq for Ca {}

/// Formats without the key.
impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn one(pem: &[u8]) -> Option<CertificateDer<'static>> {
    let mut certificates = CertificateDer::pem_slice_iter(pem);
    let first = certificates.next()?.ok()?;
    certificates.next().is_none().then_some(first)
}

fn parse<'d>(der: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    X509Certificate::from_der(der).ok().map(|(_, x509)| x509)
}

/// Converts a time. The calendar of `Timestamp` ends a day before that of certificates.
fn timestamp(seconds: i64) -> Timestamp {
    let seconds = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Timestamp {
        "2026-11-22T19:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_ca_is_valid_from_an_hour_ago_and_its_successor_is_due_after_two_thirds_of_its_life() {
        let ca = Ca::generate(now(), 3 * DAY).unwrap();
        let certificate = ca.certificate();
        assert_eq!(certificate.not_before(), earlier(now(), CLOCK_SKEW));
        assert_eq!(certificate.not_after(), later(now(), 3 * DAY));
        assert_eq!(certificate.due(), later(now(), 2 * DAY));
    }

    #[test]
    fn a_lifetime_beyond_the_calendar_ends_with_the_calendar() {
        let ca = Ca::generate(now(), Duration::MAX).unwrap();
        assert_eq!(ca.certificate().not_after().as_second(), Timestamp::MAX.as_second());
    }

    #[test]
    fn a_ca_may_sign_leaves_and_no_other_ca() {
        let ca = Ca::generate(now(), DAY).unwrap();
        let der = one(ca.certificate().pem().as_bytes()).unwrap();
        let x509 = parse(&der).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = x509.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        let has_identifier = x509.extensions().iter().any(|extension| {
            matches!(
                extension.parsed_extension(),
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(_)
            )
        });
        assert!(has_identifier);
    }

    #[test]
    fn each_ca_has_its_own_name_and_serial_number() {
        let (one, other) = (Ca::generate(now(), DAY).unwrap(), Ca::generate(now(), DAY).unwrap());
        assert_ne!(one.certificate().serial(), other.certificate().serial());
        let name = |ca: &Ca| {
            let der = super::one(ca.certificate().pem().as_bytes()).unwrap();
            parse(&der).unwrap().subject().to_string()
        };
        assert_ne!(name(&one), name(&other));
        assert!(name(&one).starts_with("CN=lockstep CA "), "{}", name(&one));
    }

    #[test]
    fn a_written_ca_is_read_back() {
        let ca = Ca::generate(now(), DAY).unwrap();
        let certificate = CaCertificate::parse(ca.certificate().pem().as_bytes()).unwrap();
        assert_eq!(Ca::parse(certificate, ca.key_pem().as_bytes()).unwrap(), ca);
    }

    #[test]
    fn each_invalid_value_has_its_own_message() {
        let (ca, other) = (Ca::generate(now(), DAY).unwrap(), Ca::generate(now(), DAY).unwrap());
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["x".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = ca.certificate().pem();
        let half = pem.split_at(pem.len() / 2).0;
        for (text, sentence) in [
            ("", "is not one certificate as PEM"),
            ("garbage", "is not one certificate as PEM"),
            (half, "is not one certificate as PEM"),
            (&format!("{pem}{pem}"), "is not one certificate as PEM"),
            (&leaf.pem(), "is not the certificate of a CA"),
        ] {
            assert_eq!(CaCertificate::parse(text.as_bytes()).unwrap_err().to_string(), sentence);
        }
        assert!(CaCertificate::parse(&[0xff, 0xfe]).is_err());
        for (key, sentence) in [
            ("garbage".to_owned(), "is not a private key as PEM"),
            (other.key_pem(), "is not the key of its certificate"),
        ] {
            let error = Ca::parse(ca.certificate().clone(), key.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }

    #[test]
    fn debug_output_omits_the_key() {
        let ca = Ca::generate(now(), DAY).unwrap();
        assert!(!format!("{ca:?}").contains("PRIVATE"));
    }
}
