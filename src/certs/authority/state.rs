//! What stands in the Secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::ca::{Ca, CaCertificate, CaError};
use super::lifetimes::Lifetimes;
use super::moment::{self, Moment};

const CA_CERT: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERT: &str = "ca-next.crt";
const NEXT_KEY: &str = "ca-next.key";
const PUBLISHED_AT: &str = "published-at";
const OLD_CERT: &str = "ca-old.crt";
const RETIRED_AT: &str = "retired-at";
const ROTATE: &str = "rotate";

/// A Secret's data.
type Data = BTreeMap<String, Vec<u8>>;

/// The CA that signs, and during a rotation the one that will and the one that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The CA that signs leaves.
    pub current: Arc<Ca>,
    /// The CA that will sign leaves once everybody trusts it.
    pub next: Option<Next>,
    /// The CA that signed leaves before, some of which may still be served.
    pub old: Option<Old>,
    /// A person asks for a rotation.
    pub rotate: bool,
}

/// A CA that does not sign yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The CA.
    pub ca: Arc<Ca>,
    /// When it was read back from every webhook configuration.
    pub published_at: Option<Moment>,
}

/// A CA that signs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Its certificate. The key is gone.
    pub certificate: CaCertificate,
    /// When it signed for the last time.
    pub retired_at: Moment,
}

/// A Secret that holds no authority.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// One half of a pair.
    #[error("it holds `{there}` without `{missing}`; put that back, or remove both")]
    Half {
        /// The key that is there.
        there: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// A value that is not what its key says.
    #[error("its `{key}` {problem}; put the right one back, or remove it together with what belongs to it")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: CaError,
    },
    /// A timestamp that is none.
    #[error("its `{0}` is not a timestamp such as `2026-11-22T19:00:00Z`; correct it")]
    Timestamp(&'static str),
}

impl Authority {
    /// The keys in the Secret that are Lockstep's. All others are somebody else's, and stay as they are.
    pub const KEYS: [&'static str; 8] =
        [CA_CERT, CA_KEY, NEXT_CERT, NEXT_KEY, PUBLISHED_AT, OLD_CERT, RETIRED_AT, ROTATE];

    /// Reads a Secret's data; `None` if it holds none of the keys, or the wish for a rotation alone.
    ///
    /// # Errors
    /// Data of which a part is missing or broken: what a person changed, only a person can judge.
    pub fn parse(data: &Data) -> Result<Option<Self>, AuthorityError> {
        let next = ca(data, NEXT_CERT, NEXT_KEY)?;
        let published_at = timestamp(data, PUBLISHED_AT)?;
        let old = old(data)?;
        let Some(current) = ca(data, CA_CERT, CA_KEY)? else {
            return match (&next, &old) {
                (Some(_), _) => Err(AuthorityError::Half { there: NEXT_CERT, missing: CA_CERT }),
                (_, Some(_)) => Err(AuthorityError::Half { there: OLD_CERT, missing: CA_CERT }),
                (None, None) => Ok(None),
            };
        };
        let next = next.map(|ca| Next { ca, published_at });
        Ok(Some(Self { current, next, old, rotate: data.contains_key(ROTATE) }))
    }

    /// The data to write. A key of [`Self::KEYS`] that is not in it is to be removed.
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
                put(PUBLISHED_AT, moment::write(published_at));
            }
        }
        if let Some(old) = &self.old {
            put(OLD_CERT, old.certificate.pem().to_owned());
            put(RETIRED_AT, moment::write(old.retired_at));
        }
        if self.rotate {
            put(ROTATE, String::new());
        }
        data
    }

    /// What clients must trust, as PEM: every CA that is there, always in the same order.
    #[must_use]
    pub fn bundle(&self) -> String {
        let old = self.old.iter().map(|old| &old.certificate);
        let next = self.next.iter().map(|next| next.ca.certificate());
        let all = old.chain([self.current.certificate()]).chain(next);
        all.map(|certificate| format!("{}\n", certificate.pem().trim_end())).collect()
    }

    pub(super) fn generate(lifetimes: &Lifetimes, now: Moment) -> Result<Self, CaError> {
        let current = Arc::new(Ca::make(now, lifetimes.ca)?);
        Ok(Self { current, next: None, old: None, rotate: false })
    }

    pub(super) fn with_next(&self, lifetimes: &Lifetimes, now: Moment) -> Result<Self, CaError> {
        let ca = Arc::new(Ca::make(now, lifetimes.ca)?);
        Ok(Self { next: Some(Next { ca, published_at: None }), rotate: false, ..self.clone() })
    }

    pub(super) fn with_next_published(&self, now: Moment) -> Self {
        let next = self.next.clone().map(|next| Next { published_at: Some(now), ..next });
        Self { next, ..self.clone() }
    }

    pub(super) fn promoted(&self, now: Moment) -> Self {
        let Some(next) = &self.next else { return self.clone() };
        let old = Old { certificate: self.current.certificate().clone(), retired_at: now };
        Self { current: Arc::clone(&next.ca), next: None, old: Some(old), rotate: self.rotate }
    }

    pub(super) fn without_old(&self) -> Self {
        Self { old: None, ..self.clone() }
    }
}

fn ca(data: &Data, cert: &'static str, key: &'static str) -> Result<Option<Arc<Ca>>, AuthorityError> {
    let (certificate, private) = match (data.get(cert), data.get(key)) {
        (Some(certificate), Some(private)) => (certificate, private),
        (Some(_), None) => return Err(AuthorityError::Half { there: cert, missing: key }),
        (None, Some(_)) => return Err(AuthorityError::Half { there: key, missing: cert }),
        (None, None) => return Ok(None),
    };
    let certificate =
        CaCertificate::parse(certificate).map_err(|problem| AuthorityError::Value { key: cert, problem })?;
    let ca = Ca::parse(certificate, private).map_err(|problem| AuthorityError::Value { key, problem })?;
    Ok(Some(Arc::new(ca)))
}

fn old(data: &Data) -> Result<Option<Old>, AuthorityError> {
    let (certificate, retired_at) = match (data.get(OLD_CERT), timestamp(data, RETIRED_AT)?) {
        (Some(certificate), Some(retired_at)) => (certificate, retired_at),
        (Some(_), None) => return Err(AuthorityError::Half { there: OLD_CERT, missing: RETIRED_AT }),
        // A person who removes the old CA by hand may well forget the other.
        (None, _) => return Ok(None),
    };
    let certificate = CaCertificate::parse(certificate)
        .map_err(|problem| AuthorityError::Value { key: OLD_CERT, problem })?;
    Ok(Some(Old { certificate, retired_at }))
}

fn timestamp(data: &Data, key: &'static str) -> Result<Option<Moment>, AuthorityError> {
    let Some(value) = data.get(key) else { return Ok(None) };
    let moment = std::str::from_utf8(value).ok().and_then(moment::read);
    moment.map(Some).ok_or(AuthorityError::Timestamp(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;
    use std::time::Duration;

    const NOW: Moment = Duration::from_secs(1_795_374_000);

    /// In the middle of a rotation, while the one before is not over.
    fn everything() -> Authority {
        let lifetimes = Lifetimes::default();
        let first = Authority::generate(&lifetimes, NOW).unwrap();
        let promoted = first.with_next(&lifetimes, NOW).unwrap().promoted(NOW);
        promoted.with_next(&lifetimes, NOW).unwrap().with_next_published(NOW)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut authority = everything();
        authority.rotate = true;
        let data = authority.data();
        assert_eq!(data.keys().map(String::as_str).collect::<Vec<_>>(), {
            let mut keys = Authority::KEYS.to_vec();
            keys.sort_unstable();
            keys
        });
        assert_eq!(Authority::parse(&data).unwrap().unwrap(), authority);
        let small = Authority::generate(&Lifetimes::default(), NOW).unwrap();
        assert_eq!(small.data().len(), 2);
        assert_eq!(Authority::parse(&small.data()).unwrap().unwrap(), small);
    }

    #[test]
    fn an_empty_secret_holds_none_and_foreign_keys_do_not_count() {
        assert!(Authority::parse(&Data::new()).unwrap().is_none());
        let foreign = Data::from([("tls.crt".to_owned(), b"x".to_vec())]);
        assert!(Authority::parse(&foreign).unwrap().is_none());
    }

    #[test]
    fn the_bundle_holds_every_ca_in_the_same_order() {
        let authority = everything();
        let bundle = authority.bundle();
        let old = &authority.old.as_ref().unwrap().certificate;
        let next = authority.next.as_ref().unwrap().ca.certificate();
        let expected: String = [old, authority.current.certificate(), next].map(CaCertificate::pem).concat();
        assert_eq!(bundle, expected);
        assert_eq!(Authority::parse(&authority.data()).unwrap().unwrap().bundle(), bundle);
    }

    #[test]
    fn a_promotion_changes_no_trust() {
        let authority = everything().without_old();
        let promoted = authority.promoted(NOW);
        assert_eq!(promoted.bundle(), authority.bundle());
        assert_eq!(promoted.current, authority.next.unwrap().ca);
        assert!(!promoted.data().contains_key(NEXT_KEY));
    }

    #[test]
    fn a_secret_that_is_half_there_is_refused_with_a_sentence() {
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
            let error = Authority::parse(&data).unwrap_err();
            assert_eq!(error.to_string(), sentence);
            assert_eq!(chain(&error), sentence, "the sentence holds its cause");
        }
    }

    #[test]
    fn a_key_of_another_ca_is_refused() {
        let mut data = everything().data();
        data.insert(CA_KEY.to_owned(), everything().data()[CA_KEY].clone());
        let error = Authority::parse(&data).unwrap_err().to_string();
        assert!(error.starts_with("its `ca.key` is not the key of its certificate"), "{error}");
    }

    #[test]
    fn a_next_or_old_ca_without_a_current_one_is_refused() {
        for kept in [[NEXT_CERT, NEXT_KEY], [OLD_CERT, RETIRED_AT]] {
            let mut data = everything().data();
            data.retain(|key, _| kept.contains(&key.as_str()));
            let error = Authority::parse(&data).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("it holds `{}` without `ca.crt`; put that back, or remove both", kept[0])
            );
        }
    }

    #[test]
    fn arbitrary_bytes_never_break_it() {
        let whole = everything().data();
        for key in Authority::KEYS {
            for length in [0, 1, 30, 100, 200, 400] {
                let mut data = whole.clone();
                let value = data.get_mut(key);
                if let Some(value) = value {
                    value.truncate(length);
                    value.push(0xff);
                    assert!(Authority::parse(&data).is_err(), "{key} {length}");
                }
            }
        }
    }

    #[test]
    fn the_old_ca_may_be_removed_by_hand() {
        let mut data = everything().data();
        drop(data.remove(OLD_CERT));
        assert!(Authority::parse(&data).unwrap().unwrap().old.is_none());
    }
}
