//! What the webhook counts. Every label has a fixed set of values: names of objects are never among them.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::{Phase, Request};
use crate::verdict::Verdict;

/// From a few microseconds, which a review takes, to the API server's longest timeout.
const BUCKETS: [f64; 14] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1.0, 5.0, 30.0];

/// What the webhook counts. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    reviews: Family<ReviewLabels, Counter>,
    findings: Family<FindingLabels, Counter>,
    unanswered: Family<UnansweredLabels, Counter>,
    seconds: Family<WebhookLabels, Histogram, fn() -> Histogram>,
    // Looked up once: every review would pay for the lock and the hash.
    mutate_seconds: Histogram,
    validate_seconds: Histogram,
}

/// Why a review got no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Unanswered {
    /// The cluster's state was not read yet.
    NotSynced,
    /// The state of one namespace was not read yet.
    NotKnown,
    /// The review could not be read.
    Malformed,
    /// A patch that does not apply.
    Unprovable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    webhook: &'static str,
    verdict: &'static str,
    dry_run: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    rule: &'static str,
    reason: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnansweredLabels {
    reason: Unanswered,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: Family<WebhookLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let of = |phase: Phase| seconds.get_or_create(&WebhookLabels { webhook: phase.word() }).clone();
        Self {
            reviews: Family::default(),
            findings: Family::default(),
            unanswered: Family::default(),
            mutate_seconds: of(Phase::Mutate),
            validate_seconds: of(Phase::Validate),
            seconds,
        }
    }
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Reviews that got a verdict", self.reviews.clone());
        registry.register("findings", "Findings of the rules, by reason", self.findings.clone());
        registry.register("reviews_unanswered", "Reviews that got no verdict", self.unanswered.clone());
        registry.register_with_unit(
            "review_duration",
            "Time from a whole body to its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    pub(super) fn judged(&self, phase: Phase, request: &Request<'_>, verdict: &Verdict) {
        let dry_run = if request.dry_run { "true" } else { "false" };
        let labels = ReviewLabels { webhook: phase.word(), verdict: verdict.word(), dry_run };
        self.reviews.get_or_create(&labels).inc();
        for finding in &verdict.findings {
            let (rule, reason) = (finding.rule.id(), finding.reason.code());
            let labels = FindingLabels { rule, reason, severity: finding.severity.word() };
            self.findings.get_or_create(&labels).inc();
        }
    }

    pub(super) fn unanswered(&self, reason: Unanswered) {
        self.unanswered.get_or_create(&UnansweredLabels { reason }).inc();
    }

    pub(super) fn took(&self, phase: Phase, time: Duration) {
        let seconds = match phase {
            Phase::Mutate => &self.mutate_seconds,
            Phase::Validate => &self.validate_seconds,
        };
        seconds.observe(time.as_secs_f64());
    }
}
