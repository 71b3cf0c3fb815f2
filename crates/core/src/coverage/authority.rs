//! Whether a `caBundle` holds the certificates that callers must trust.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Whether every certificate of `relied_on` is in the bundle, which may hold more: while authorities are
/// replaced it does. Certificates are compared whole, and where nothing is known nothing is asked.
pub(super) fn trusts(bundle: &str, relied_on: Option<&str>) -> bool {
    let Some(relied_on) = relied_on else {
        return true;
    };
    let pem = STANDARD.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let trusted: Vec<String> = certificates(pem.as_deref().unwrap_or_default()).collect();
    certificates(relied_on).all(|certificate| trusted.contains(&certificate))
}

/// The certificates of a PEM file, without line breaks.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    pem.split(BEGIN).skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once(END)?;
        Some(body.split_whitespace().collect())
    })
}
