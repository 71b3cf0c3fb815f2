//! Attempts, counted by how they ended.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// The label of attempts.
type Result = [(&'static str, &'static str); 1];

const OK: Result = [("result", "ok")];
const FAILED: Result = [("result", "failed")];

/// Attempts, with the label `result`: `ok` or `failed`. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Attempts(Family<Result, Counter>);

impl Default for Attempts {
    fn default() -> Self {
        let attempts = Self(Family::default());
        // A series that appears with its first event has no rate at that event.
        for result in [OK, FAILED] {
            drop(attempts.0.get_or_create(&result));
        }
        attempts
    }
}

impl Attempts {
    /// What is to be registered.
    pub(crate) fn metric(&self) -> Family<Result, Counter> {
        self.0.clone()
    }

    /// Counts one that ended.
    pub(crate) fn count(&self, is_ok: bool) {
        self.0.get_or_create(if is_ok { &OK } else { &FAILED }).inc();
    }
}
