//! The CAs of a Secret: any data is read as CAs or refused in a sentence without a secret, and CAs are read back as they are written.
//!
//! The parts of an input are the values of the Secret's keys in order; an empty one is a missing key.

use std::collections::BTreeMap;

use lockstep::tls::ca::CaSet;

pub(super) fn body(bytes: &[u8]) {
    let values = CaSet::KEYS.into_iter().zip(super::parts(bytes)).filter(|(_, value)| !value.is_empty());
    let data: BTreeMap<String, Vec<u8>> =
        values.map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
    match CaSet::parse(&data) {
        Ok(Some(cas)) => {
            assert_eq!(CaSet::parse(&cas.data()).expect("CAs are read back"), Some(cas.clone()));
            let count = 1 + usize::from(cas.next.is_some()) + usize::from(cas.old.is_some());
            assert_eq!(cas.bundle().matches("-----BEGIN CERTIFICATE-----").count(), count);
            assert!(!format!("{cas:?}").contains("PRIVATE"));
        }
        Ok(None) => assert!(!data.contains_key(CaSet::KEYS[0]) && !data.contains_key(CaSet::KEYS[1])),
        Err(error) => super::assert_is_sentence(&error, bytes),
    }
}
