//! One CA: its certificate, and while it signs, its key.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair as Key, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::moment::{CLOCK_SKEW, Moment, system_time};

/// A CA's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    pem: String,
    serial: String,
    not_before: Moment,
    not_after: Moment,
}

/// A CA that can sign.
pub struct Ca {
    certificate: CaCertificate,
    issuer: Issuer<'static, Key>,
}

/// Why something is no CA.
#[derive(Debug, Error)]
pub enum CaError {
    /// Not one certificate as PEM.
    #[error("is not one certificate as PEM")]
    Certificate,
    /// A certificate that may not sign others.
    #[error("is not the certificate of a CA")]
    NotCa,
    /// No private key as PEM.
    #[error("is not a private key as PEM")]
    Key,
    /// A key of another certificate.
    #[error("is not the key of its certificate")]
    Mismatch,
    /// Making it failed.
    #[error("a CA cannot be made")]
    Make(#[from] rcgen::Error),
    /// The clock stands at the edge of what can be written down.
    #[error("the system's clock is out of range; set it")]
    Clock,
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
        let moment = |seconds| u64::try_from(seconds).map(Duration::from_secs).unwrap_or_default();
        Ok(Self {
            serial: hex(x509.raw_serial()),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
            pem: text.to_owned(),
        })
    }

    /// The certificate as PEM, as it was read.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The serial number in hexadecimal, as `openssl x509 -serial` shows it. No two CAs made here share one.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The first moment in which it is valid.
    #[must_use]
    pub const fn not_before(&self) -> Moment {
        self.not_before
    }

    /// The last moment in which it is valid.
    #[must_use]
    pub const fn not_after(&self) -> Moment {
        self.not_after
    }

    /// When two thirds of its life are over. It is taken from the certificate, so that replicas with other
    /// flags come to the same.
    pub(super) fn due(&self) -> Moment {
        let signed = self.not_before.saturating_add(CLOCK_SKEW);
        let third = self.not_after.saturating_sub(signed).checked_div(3).unwrap_or_default();
        self.not_after.saturating_sub(third)
    }
}

impl Ca {
    /// Makes one, ECDSA P-256, valid for `lifetime` from `now` on, and since a while ago.
    ///
    /// # Errors
    /// A failure of the system's random numbers, or a clock that is out of range.
    pub fn make(now: Moment, lifetime: Duration) -> Result<Self, CaError> {
        let key = Key::generate()?;
        let mut params = CertificateParams::default();
        let not_before = system_time(now.saturating_sub(CLOCK_SKEW)).ok_or(CaError::Clock)?;
        params.not_before = not_before.into();
        params.not_after = system_time(now.saturating_add(lifetime)).ok_or(CaError::Clock)?.into();
        // A name of its own: a verifier that looks for the issuer by name finds one, not several.
        let identifier = params.key_identifier(&key);
        let id = hex(identifier.get(..8).unwrap_or(&identifier));
        params.distinguished_name.push(DnType::CommonName, format!("lockstep CA {id}"));
        // 0: it signs leaves, and no further authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Self::of(CaCertificate::parse(pem.as_bytes())?, key)
    }

    pub(super) fn parse(certificate: CaCertificate, key: &[u8]) -> Result<Self, CaError> {
        let key = std::str::from_utf8(key).map_err(|_| CaError::Key)?;
        let key = Key::from_pem(key).map_err(|_| CaError::Key)?;
        let der = one(certificate.pem.as_bytes()).ok_or(CaError::Certificate)?;
        let x509 = parse(&der).ok_or(CaError::Certificate)?;
        if x509.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CaError::Mismatch);
        }
        Self::of(certificate, key)
    }

    fn of(certificate: CaCertificate, key: Key) -> Result<Self, CaError> {
        let issuer = Issuer::from_ca_cert_pem(&certificate.pem, key)?;
        Ok(Self { certificate, issuer })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(super) const fn issuer(&self) -> &Issuer<'static, Key> {
        &self.issuer
    }
}

/// Two CAs with one certificate have one key.
impl PartialEq for Ca {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl Eq for Ca {}

/// Leaves out the key.
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

    const NOW: Moment = Duration::from_secs(1_795_374_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_ca_is_valid_since_an_hour_ago_and_due_after_two_thirds_of_its_life() {
        let ca = Ca::make(NOW, 3 * DAY).unwrap();
        let certificate = ca.certificate();
        assert_eq!(certificate.not_before(), NOW - CLOCK_SKEW);
        assert_eq!(certificate.not_after(), NOW + 3 * DAY);
        assert_eq!(certificate.due(), NOW + 2 * DAY);
    }

    #[test]
    fn a_ca_signs_leaves_and_nothing_else() {
        let ca = Ca::make(NOW, DAY).unwrap();
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
    fn no_two_cas_share_a_name_or_a_serial_number() {
        let (one, other) = (Ca::make(NOW, DAY).unwrap(), Ca::make(NOW, DAY).unwrap());
        assert_ne!(one.certificate().serial(), other.certificate().serial());
        let name = |ca: &Ca| {
            let der = super::one(ca.certificate().pem().as_bytes()).unwrap();
            parse(&der).unwrap().subject().to_string()
        };
        assert_ne!(name(&one), name(&other));
        assert!(name(&one).starts_with("CN=lockstep CA "), "{}", name(&one));
    }

    #[test]
    fn a_ca_that_was_written_is_read() {
        let ca = Ca::make(NOW, DAY).unwrap();
        let certificate = CaCertificate::parse(ca.certificate().pem().as_bytes()).unwrap();
        assert_eq!(Ca::parse(certificate, ca.key_pem().as_bytes()).unwrap(), ca);
    }

    #[test]
    fn what_is_no_ca_is_told_apart() {
        let (ca, other) = (Ca::make(NOW, DAY).unwrap(), Ca::make(NOW, DAY).unwrap());
        let key = Key::generate().unwrap();
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
    fn a_key_is_not_shown() {
        let ca = Ca::make(NOW, DAY).unwrap();
        assert!(!format!("{ca:?}").contains("PRIVATE"));
    }
}
