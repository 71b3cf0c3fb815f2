//! What is counted about certificates.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::attempts::Attempts;
use super::pair::KeyPair;

/// What is counted about certificates. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    reloads: Attempts,
    expiry: Gauge,
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_reloads",
            "Attempts to take over changed files, by result; a failed one is repeated",
            self.reloads.metric(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the served certificate expires, since 1970; 0 if it does not tell",
            Unit::Seconds,
            self.expiry.clone(),
        );
    }

    /// Notes that `pair` is served from now on.
    pub fn serves(&self, pair: &KeyPair) {
        let seconds = pair.not_after.and_then(|seconds| i64::try_from(seconds).ok());
        self.expiry.set(seconds.unwrap_or(0));
    }

    pub(super) fn reloaded(&self, pair: &KeyPair) {
        self.serves(pair);
        self.count_reloaded();
    }

    pub(super) fn count_reloaded(&self) {
        self.reloads.count(true);
    }

    pub(super) fn reload_failed(&self) {
        self.reloads.count(false);
    }
}
