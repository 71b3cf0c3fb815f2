//! The CAs in the Secret, and their storage format.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::certificate::{Ca, CaCertificate, CaError};
use super::lifetimes::Lifetimes;

const CA_CERT: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERT: &str = "ca-next.crt";
const NEXT_KEY: &str = "ca-next.key";
const PUBLISHED_AT: &str = "published-at";
const OLD_CERT: &str = "ca-old.crt";
const RETIRED_AT: &str = "retired-at";
const ROTATE: &str = "rotate";

/// The data of a Secret.
type Data = BTreeMap<String, Vec<u8>>;

/// The current CA, and during a rotation also the next or the previous one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaSet {
    /// The CA that signs leaves.
    pub current: Arc<Ca>,
    /// The CA that will sign once every client trusts it.
    pub next: Option<NextCa>,
    /// The CA that signed before. Leaves that it signed may still be served.
    pub old: Option<OldCa>,
    /// Whether a user has requested a rotation.
    pub rotate: bool,
}

/// A CA that does not sign yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCa {
    /// The CA.
    pub ca: Arc<Ca>,
    /// The time at which every webhook configuration was read back with it.
    pub published_at: Option<Timestamp>,
}

/// A CA that no longer signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldCa {
    /// The certificate of the CA. The key was deleted.
    pub certificate: CaCertificate,
    /// The time at which it was replaced.
    pub retired_at: Timestamp,
}

/// The error of a Secret whose CAs cannot be used. The messages continue a sentence about the Secret.
#[derive(Debug, thiserror::Error)]
pub enum CaSetError {
    /// One half of a pair is missing.
    #[error("it holds `{there}` without `{missing}`; put that back, or remove both")]
    Half {
        /// The key that is present.
        there: &'static str,
        /// The key that is missing.
        missing: &'static str,
    },
    /// A value is malformed.
    #[error("its `{key}` {problem}; put the right one back, or remove it together with what belongs to it")]
    Value {
        /// The key of the value.
        key: &'static str,
        /// The cause.
        problem: CaError,
    },
    /// A timestamp is malformed.
    #[error("its `{0}` is not a timestamp such as `2026-11-22T19:00:00Z`; correct it")]
    Timestamp(&'static str),
}

impl CaSet {
    /// The keys of the Secret that Lockstep uses. It does not change other keys.
    pub const KEYS: [&'static str; 8] =
        [CA_CERT, CA_KEY, NEXT_CERT, NEXT_KEY, PUBLISHED_AT, OLD_CERT, RETIRED_AT, ROTATE];

    /// Parses the data of a Secret. Returns `None` if it contains no CA.
    ///
    /// # Errors
    /// Incomplete or malformed data. A user has changed it, so only a user can correct it.
    pub fn parse(data: &Data) -> Result<Option<Self>, CaSetError> {
        let next = ca(data, NEXT_CERT, NEXT_KEY)?;
        let published_at = timestamp(data, PUBLISHED_AT)?;
        let old = old(data)?;
        let Some(current) = ca(data, CA_CERT, CA_KEY)? else {
            return match (&next, &old) {
                (Some(_), _) => Err(CaSetError::Half { there: NEXT_CERT, missing: CA_CERT }),
                (_, Some(_)) => Err(CaSetError::Half { there: OLD_CERT, missing: CA_CERT }),
                (None, None) => Ok(None),
            };
        };
        let next = next.map(|ca| NextCa { ca, published_at });
        Ok(Some(Self { current, next, old, rotate: data.contains_key(ROTATE) }))
    }

    /// Returns the data to store. Keys of [`Self::KEYS`] that are not in it must be removed from the Secret.
    #[must_use]
    pub fn data(&self) -> Data {
        let mut data = Data::new();
        let mut put = |key: &str, value: String| drop(data.insert(key.to_owned(), value.into_bytes()));
        put(CA_CERT, self.current.certificate().pem().to_owned());
        put(CA_KEY, self.current.key_pem());
        if let Some(next) = &self.next {
            put(NEXT_CERT, next.ca.certificate().pem().to_owned());
            put(NEXT_KEY, next.ca.key_pem());
            if let Some(published_at) = next.published_at {
                put(PUBLISHED_AT, published_at.to_string());
            }
        }
        if let Some(old) = &self.old {
            put(OLD_CERT, old.certificate.pem().to_owned());
            put(RETIRED_AT, old.retired_at.to_string());
        }
        if self.rotate {
            put(ROTATE, String::new());
        }
        data
    }

    /// Returns the certificates of all CAs in PEM, oldest first: the trust anchors of clients.
    #[must_use]
    pub fn bundle(&self) -> String {
        let old = self.old.iter().map(|old| &old.certificate);
        let next = self.next.iter().map(|next| next.ca.certificate());
        let all = old.chain([self.current.certificate()]).chain(next);
        all.map(|certificate| format!("{}\n", certificate.pem().trim_end())).collect()
    }

    /// Generates a first CA.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn generate(lifetimes: &Lifetimes, now: Timestamp) -> Result<Self, CaError> {
        let current = Arc::new(Ca::generate(now, lifetimes.ca)?);
        Ok(Self { current, next: None, old: None, rotate: false })
    }

    pub(super) fn with_next(&self, lifetimes: &Lifetimes, now: Timestamp) -> Result<Self, CaError> {
        let ca = Arc::new(Ca::generate(now, lifetimes.ca)?);
        Ok(Self { next: Some(NextCa { ca, published_at: None }), rotate: false, ..self.clone() })
    }

    pub(super) fn with_next_published(&self, now: Timestamp) -> Self {
        let next = self.next.clone().map(|next| NextCa { published_at: Some(now), ..next });
        Self { next, ..self.clone() }
    }

    pub(super) fn promoted(&self, now: Timestamp) -> Self {
        let Some(next) = &self.next else { return self.clone() };
        let old = OldCa { certificate: self.current.certificate().clone(), retired_at: now };
        Self { current: Arc::clone(&next.ca), next: None, old: Some(old), rotate: self.rotate }
    }

    pub(super) fn without_old(&self) -> Self {
        Self { old: None, ..self.clone() }
    }
}

fn ca(data: &Data, cert: &'static str, key: &'static str) -> Result<Option<Arc<Ca>>, CaSetError> {
    let (certificate, private) = match (data.get(cert), data.get(key)) {
        (Some(certificate), Some(private)) => (certificate, private),
        (Some(_), None) => return Err(CaSetError::Half { there: cert, missing: key }),
        (None, Some(_)) => return Err(CaSetError::Half { there: key, missing: cert }),
        (None, None) => return Ok(None),
    };
    let certificate =
        CaCertificate::parse(certificate).map_err(|problem| CaSetError::Value { key: cert, problem })?;
    let ca = Ca::parse(certificate, private).map_err(|problem| CaSetError::Value { key, problem })?;
    Ok(Some(Arc::new(ca)))
}

fn old(data: &Data) -> Result<Option<OldCa>, CaSetError> {
    let (certificate, retired_at) = match (data.get(OLD_CERT), timestamp(data, RETIRED_AT)?) {
        (Some(certificate), Some(retired_at)) => (certificate, retired_at),
        (Some(_), None) => return Err(CaSetError::Half { there: OLD_CERT, missing: RETIRED_AT }),
        // A user who removes the old CA by hand may leave the timestamp behind.
        (None, _) => return Ok(None),
    };
    let certificate =
        CaCertificate::parse(certificate).map_err(|problem| CaSetError::Value { key: OLD_CERT, problem })?;
    Ok(Some(OldCa { certificate, retired_at }))
}

fn timestamp(data: &Data, key: &'static str) -> Result<Option<Timestamp>, CaSetError> {
    let Some(value) = data.get(key) else { return Ok(None) };
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
    parsed.map(Some).ok_or(CaSetError::Timestamp(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    fn now() -> Timestamp {
        "2026-11-22T19:00:00.25Z".parse().unwrap()
    }

    /// Returns CAs in which a rotation is in progress and the previous one is not complete.
    fn everything() -> CaSet {
        let lifetimes = Lifetimes::default();
        let first = CaSet::generate(&lifetimes, now()).unwrap();
        let promoted = first.with_next(&lifetimes, now()).unwrap().promoted(now());
        promoted.with_next(&lifetimes, now()).unwrap().with_next_published(now())
    }

    #[test]
    fn written_data_is_read_back() {
        let mut cas = everything();
        cas.rotate = true;
        let data = cas.data();
        assert_eq!(data.keys().map(String::as_str).collect::<Vec<_>>(), {
            let mut keys = CaSet::KEYS.to_vec();
            keys.sort_unstable();
            keys
        });
        assert_eq!(CaSet::parse(&data).unwrap().unwrap(), cas);
        let small = CaSet::generate(&Lifetimes::default(), now()).unwrap();
        assert_eq!(small.data().len(), 2);
        assert_eq!(CaSet::parse(&small.data()).unwrap().unwrap(), small);
    }

    #[test]
    fn an_empty_secret_holds_no_ca_and_unknown_keys_are_ignored() {
        assert!(CaSet::parse(&Data::new()).unwrap().is_none());
        let foreign = Data::from([("tls.crt".to_owned(), b"x".to_vec())]);
        assert!(CaSet::parse(&foreign).unwrap().is_none());
    }

    #[test]
    fn the_bundle_holds_every_ca_oldest_first() {
        let cas = everything();
        let bundle = cas.bundle();
        let old = &cas.old.as_ref().unwrap().certificate;
        let next = cas.next.as_ref().unwrap().ca.certificate();
        let expected: String = [old, cas.current.certificate(), next].map(CaCertificate::pem).concat();
        assert_eq!(bundle, expected);
        assert_eq!(CaSet::parse(&cas.data()).unwrap().unwrap().bundle(), bundle);
    }

    #[test]
    fn a_promotion_leaves_the_bundle_unchanged() {
        let cas = everything().without_old();
        let promoted = cas.promoted(now());
        assert_eq!(promoted.bundle(), cas.bundle());
        assert_eq!(promoted.current, cas.next.unwrap().ca);
        assert!(!promoted.data().contains_key(NEXT_KEY));
    }

    #[test]
    fn incomplete_or_malformed_data_is_rejected_with_the_remedy() {
        let whole = everything().data();
        let text = "garbage";
        for (key, value, sentence) in [
            (CA_KEY, None, "it holds `ca.crt` without `ca.key`; put that back, or remove both"),
            (CA_CERT, None, "it holds `ca.key` without `ca.crt`; put that back, or remove both"),
            (NEXT_KEY, None, "it holds `ca-next.crt` without `ca-next.key`; put that back, or remove both"),
            (RETIRED_AT, None, "it holds `ca-old.crt` without `retired-at`; put that back, or remove both"),
            (
                CA_CERT,
                Some(text),
                "its `ca.crt` is not one certificate as PEM; put the right one back, or remove it together with what belongs to it",
            ),
            (
                NEXT_KEY,
                Some(text),
                "its `ca-next.key` is not a private key as PEM; put the right one back, or remove it together with what belongs to it",
            ),
            (
                OLD_CERT,
                Some(text),
                "its `ca-old.crt` is not one certificate as PEM; put the right one back, or remove it together with what belongs to it",
            ),
            (
                PUBLISHED_AT,
                Some(text),
                "its `published-at` is not a timestamp such as `2026-11-22T19:00:00Z`; correct it",
            ),
        ] {
            let mut data = whole.clone();
            drop(data.remove(key));
            data.extend(value.map(|value| (key.to_owned(), value.as_bytes().to_vec())));
            let error = CaSet::parse(&data).unwrap_err();
            assert_eq!(error.to_string(), sentence);
            assert_eq!(chain(&error), sentence, "the message includes its cause");
        }
    }

    #[test]
    fn the_key_of_another_ca_is_rejected() {
        let mut data = everything().data();
        data.insert(CA_KEY.to_owned(), everything().data()[CA_KEY].clone());
        let error = CaSet::parse(&data).unwrap_err().to_string();
        assert!(error.starts_with("its `ca.key` is not the key of its certificate"), "{error}");
    }

    #[test]
    fn a_next_or_old_ca_without_a_current_one_is_rejected() {
        for kept in [[NEXT_CERT, NEXT_KEY], [OLD_CERT, RETIRED_AT]] {
            let mut data = everything().data();
            data.retain(|key, _| kept.contains(&key.as_str()));
            let error = CaSet::parse(&data).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("it holds `{}` without `ca.crt`; put that back, or remove both", kept[0])
            );
        }
    }

    #[test]
    fn arbitrary_bytes_are_rejected() {
        let whole = everything().data();
        for key in CaSet::KEYS {
            for length in [0, 1, 30, 100, 200, 400] {
                let mut data = whole.clone();
                let value = data.get_mut(key);
                if let Some(value) = value {
                    value.truncate(length);
                    value.push(0xff);
                    assert!(CaSet::parse(&data).is_err(), "{key} {length}");
                }
            }
        }
    }

    #[test]
    fn the_old_ca_may_be_removed_by_hand() {
        let mut data = everything().data();
        drop(data.remove(OLD_CERT));
        assert!(CaSet::parse(&data).unwrap().unwrap().old.is_none());
    }
}
