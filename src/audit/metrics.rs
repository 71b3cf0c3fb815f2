//! What the decision log tells about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What the decision log counts. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    pub(super) records: Counter,
    pub(super) dropped: Counter,
    pub(super) write_failures: Counter,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "audit_records",
            "Records that were put into the decision log's queue",
            self.records.clone(),
        );
        registry.register(
            "audit_records_dropped",
            "Records that were dropped because the decision log was not taken fast enough",
            self.dropped.clone(),
        );
        registry.register(
            "audit_write_failures",
            "Failed attempts to write the decision log",
            self.write_failures.clone(),
        );
    }
}
