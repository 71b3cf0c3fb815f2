//! The comparison of a webhook's `caBundle` with the CA certificates that its callers must trust.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Whether the bundle contains every certificate of `trust_anchors`. It may contain more, as during a CA rotation.
///
/// Certificates are compared byte by byte, so that this crate needs no X.509. If the trust anchors are unknown, any
/// bundle passes.
pub(super) fn trusts(bundle: &str, trust_anchors: Option<&str>) -> bool {
    let Some(trust_anchors) = trust_anchors else {
        return true;
    };
    let pem = STANDARD.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let trusted: Vec<String> = certificates(pem.as_deref().unwrap_or_default()).collect();
    certificates(trust_anchors).all(|certificate| trusted.contains(&certificate))
}

/// The certificates of a PEM file, without line breaks.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    pem.split(BEGIN).skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once(END)?;
        Some(body.split_whitespace().collect())
    })
}
