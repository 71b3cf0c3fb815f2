//! What the webhook counts. Every label has a fixed set of values: names of objects are never among them.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::topologies::{Named, Topologies};
use crate::admission::Request;
use crate::change::Phase;
use crate::verdict::Verdict;

/// The rule and the reason of a review of which no rule said anything.
const NONE: &str = "none";

/// From a few microseconds, which a review takes, to the API server's longest timeout.
const BUCKETS: [f64; 14] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1.0, 5.0, 30.0];

/// What the webhook counts. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    reviews: Family<ReviewLabels, Counter>,
    /// Of `reviews`, those that pass without a word, which most do: by webhook, then by dry run.
    passed: [[Counter; 2]; 2],
    topologies: Topologies,
    findings: Family<FindingLabels, Counter>,
    unanswered: Family<UnansweredLabels, Counter>,
    seconds: Family<WebhookLabels, Histogram, fn() -> Histogram>,
    // Looked up once: every review would pay for the lock and the hash.
    mutate_seconds: Histogram,
    validate_seconds: Histogram,
}

/// Why a review got no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unanswered {
    /// The cluster's state was not read yet.
    NotSynced,
    /// The state of one namespace was not read yet.
    NotKnown,
    /// It is no review, or there is nobody to answer to.
    Malformed,
    /// A patch that does not apply.
    Unprovable,
}

impl Unanswered {
    const ALL: [Self; 4] = [Self::NotSynced, Self::NotKnown, Self::Malformed, Self::Unprovable];
}

impl EncodeLabelValue for Unanswered {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let label = match self {
            Self::NotSynced => "not_synced",
            Self::NotKnown => "not_known",
            Self::Malformed => "malformed",
            Self::Unprovable => "unprovable",
        };
        label.encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    webhook: &'static str,
    verdict: &'static str,
    rule: &'static str,
    reason: &'static str,
    dry_run: bool,
}

impl ReviewLabels {
    fn of(phase: Phase, dry_run: bool, verdict: &Verdict) -> Self {
        let headline = verdict.headline();
        let (rule, reason) =
            headline.map_or((NONE, NONE), |headline| (headline.rule.id(), headline.reason.code()));
        Self { webhook: phase.word(), verdict: verdict.word(), rule, reason, dry_run }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    topology: Named,
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
        let time = |phase: Phase| seconds.get_or_create_owned(&WebhookLabels { webhook: phase.word() });
        let reviews = Family::<ReviewLabels, Counter>::default();
        let passed = |phase, dry_run| {
            reviews.get_or_create_owned(&ReviewLabels::of(phase, dry_run, &Verdict::default()))
        };
        let unanswered = Family::<UnansweredLabels, Counter>::default();
        // A series that appears with its first event has no rate at that event.
        for reason in Unanswered::ALL {
            drop(unanswered.get_or_create(&UnansweredLabels { reason }));
        }
        Self {
            passed: [Phase::Mutate, Phase::Validate].map(|phase| [false, true].map(|dry| passed(phase, dry))),
            reviews,
            topologies: Topologies::default(),
            findings: Family::default(),
            unanswered,
            mutate_seconds: time(Phase::Mutate),
            validate_seconds: time(Phase::Validate),
            seconds,
        }
    }
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "reviews",
            "Reviews that got a verdict, by what the log tells of it",
            self.reviews.clone(),
        );
        registry.register(
            "findings",
            "Findings of the rules, by topology: the first 32, and other",
            self.findings.clone(),
        );
        registry.register(
            "reviews_unanswered",
            "Reviews that got no verdict, by reason",
            self.unanswered.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from a whole body to its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    pub(super) fn judged(&self, phase: Phase, request: &Request<'_>, verdict: &Verdict) {
        if verdict.headline().is_none() {
            self.passed(phase, request.dry_run).inc();
            return;
        }
        self.reviews.get_or_create(&ReviewLabels::of(phase, request.dry_run, verdict)).inc();
        for finding in &verdict.findings {
            let labels = FindingLabels {
                topology: self.topologies.name(&finding.topology),
                rule: finding.rule.id(),
                reason: finding.reason.code(),
                severity: finding.severity.word(),
            };
            self.findings.get_or_create(&labels).inc();
        }
    }

    /// A denial by no rule: the object cannot be read.
    pub(super) fn unreadable(&self, phase: Phase, request: &Request<'_>) {
        let (webhook, dry_run) = (phase.word(), request.dry_run);
        let labels = ReviewLabels { webhook, verdict: "deny", rule: NONE, reason: NONE, dry_run };
        self.reviews.get_or_create(&labels).inc();
    }

    const fn passed(&self, phase: Phase, dry_run: bool) -> &Counter {
        let [[mutate, mutate_dry], [validate, validate_dry]] = &self.passed;
        match (phase, dry_run) {
            (Phase::Mutate, false) => mutate,
            (Phase::Mutate, true) => mutate_dry,
            (Phase::Validate, false) => validate,
            (Phase::Validate, true) => validate_dry,
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
