//! The metrics of certificates and of the CA.

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The metrics of the served certificate from any source. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsMetrics {
    reloads: ResultCounter,
    expiry: Gauge,
}

/// The metrics of a CA in a Secret. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct CaMetrics {
    passes: ResultCounter,
    rotations: Counter,
    bundles_mended: Counter,
    expiry: Gauge,
    issuer: Family<IssuerLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    serial: String,
}

impl TlsMetrics {
    /// Registers the metrics without a prefix.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_reloads",
            "Attempts to load changed certificate or client CA files, by result; a failed attempt is retried",
            self.reloads.0.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "Unix time at which the served certificate expires; 0 if unknown",
            Unit::Seconds,
            self.expiry.clone(),
        );
    }

    pub(super) fn set_expiry(&self, not_after: Option<Timestamp>) {
        self.expiry.set(not_after.map_or(0, Timestamp::as_second));
    }

    pub(super) fn count_reload(&self, is_ok: bool) {
        self.reloads.count(is_ok);
    }
}

impl CaMetrics {
    /// Registers the metrics without a prefix.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ca_passes",
            "Reconciliations of the CA Secret and the webhook configurations, by result; a failed one is retried",
            self.passes.0.clone(),
        );
        registry.register("ca_rotations", "CA rotations performed by this replica", self.rotations.clone());
        registry.register(
            "ca_bundles_mended",
            "Webhooks whose caBundle this replica replaced because it was missing or different",
            self.bundles_mended.clone(),
        );
        registry.register_with_unit(
            "ca_expiry_timestamp",
            "Unix time at which the signing CA expires",
            Unit::Seconds,
            self.expiry.clone(),
        );
        registry.register(
            "tls_issuer_info",
            "CA that signed the served certificate, by serial number; always 1",
            self.issuer.clone(),
        );
    }

    pub(super) fn count_pass(&self, is_ok: bool) {
        self.passes.count(is_ok);
    }

    pub(super) fn count_rotation(&self) {
        self.rotations.inc();
    }

    pub(super) fn count_mended_bundles(&self, webhooks: u64) {
        self.bundles_mended.inc_by(webhooks);
    }

    pub(super) fn set_expiry(&self, not_after: Timestamp) {
        self.expiry.set(not_after.as_second());
    }

    /// Replaces the issuer, so that there is always one series.
    pub(super) fn set_issuer(&self, serial: &str) {
        self.issuer.clear();
        self.issuer.get_or_create(&IssuerLabels { serial: serial.to_owned() }).set(1);
    }
}

/// A counter with the label `result`: `ok` or `failed`.
#[derive(Debug, Clone)]
struct ResultCounter(Family<[(&'static str, &'static str); 1], Counter>);

impl Default for ResultCounter {
    fn default() -> Self {
        let counter = Self(Family::default());
        // Series are created before their first event, because a series that appears with it shows no increase.
        for result in ["ok", "failed"] {
            drop(counter.0.get_or_create(&[("result", result)]));
        }
        counter
    }
}

impl ResultCounter {
    fn count(&self, is_ok: bool) {
        self.0.get_or_create(&[("result", if is_ok { "ok" } else { "failed" })]).inc();
    }
}
