//! What is counted about the authority.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::certs::Attempts;
use crate::certs::authority::{Authority, Leaf};

/// What is counted about the authority. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    passes: Attempts,
    rotations: Counter,
    bundles_mended: Counter,
    ca_expiry: Gauge,
    issuer: Family<IssuerLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    serial: String,
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "ca_passes",
            "Looks at the CA Secret and the webhook configurations, by result; a failed one is repeated",
            self.passes.metric(),
        );
        registry.register("ca_rotations", "CAs that this replica let sign", self.rotations.clone());
        registry.register(
            "ca_bundles_mended",
            "Webhooks that this replica gave the CA bundle, because they had another one or none",
            self.bundles_mended.clone(),
        );
        registry.register_with_unit(
            "ca_expiry_timestamp",
            "When the CA that signs expires, since 1970",
            Unit::Seconds,
            self.ca_expiry.clone(),
        );
        registry.register(
            "tls_issuer_info",
            "The CA that signed the served certificate, by serial number; always 1",
            self.issuer.clone(),
        );
    }

    pub(super) fn passed(&self, is_ok: bool) {
        self.passes.count(is_ok);
    }

    pub(super) fn rotated(&self) {
        self.rotations.inc();
    }

    pub(super) fn mended(&self, webhooks: u64) {
        self.bundles_mended.inc_by(webhooks);
    }

    pub(super) fn stored(&self, authority: &Authority) {
        let expiry = authority.current.certificate().not_after().as_secs();
        self.ca_expiry.set(i64::try_from(expiry).unwrap_or(i64::MAX));
    }

    /// There is one series at a time, however many CAs come and go.
    pub(super) fn serves(&self, leaf: &Leaf) {
        self.issuer.clear();
        self.issuer.get_or_create(&IssuerLabels { serial: leaf.issuer.clone() }).set(1);
    }
}
