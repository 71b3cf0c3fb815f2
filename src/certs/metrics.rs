//! What is counted about certificates.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::pair::KeyPair;

/// What is counted about certificates. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    reloads: Family<ReloadLabels, Counter>,
    expiry: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: Reload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reload {
    Ok,
    Failed,
}

impl EncodeLabelValue for Reload {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let label = match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        };
        label.encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self { reloads: Family::default(), expiry: Gauge::default() };
        // A series that appears with its first event has no rate at that event.
        for result in [Reload::Ok, Reload::Failed] {
            drop(metrics.reloads.get_or_create(&ReloadLabels { result }));
        }
        metrics
    }
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_reloads",
            "Attempts to take over changed files, by result; a failed one is repeated",
            self.reloads.clone(),
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
        self.count(Reload::Ok);
    }

    pub(super) fn reload_failed(&self) {
        self.count(Reload::Failed);
    }

    fn count(&self, result: Reload) {
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }
}
