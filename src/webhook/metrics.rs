//! Metrics of reviews. Every label has a bounded set of values, and none is the name of an object.

use std::fmt;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::topology_labels::{TopologyLabel, TopologyLabels};
use crate::admission::{Decision, Review};
use crate::change::Phase;
use crate::server::Authentication;
use crate::trace::TraceContext;
use crate::verdict::Verdict;

/// The rule and the reason of a review without findings and edits.
const NONE: &str = "none";

/// The severity of a finding that warns because of an exception.
const EXCEPTION: &str = "exception";

/// The bounds of the duration histogram in seconds: from 5 µs (a review takes some tens of µs) to the API server's
/// longest timeout.
const BUCKETS: [f64; 14] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1.0, 5.0, 30.0];

/// The durations of reviews. Each bucket has the newest review of a sampled trace.
type Durations = HistogramWithExemplars<ExemplarLabels>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExemplarLabels {
    trace_id: String,
}

/// Metrics of reviews. Clones share their counts.
#[derive(Debug, Clone)]
pub struct ReviewMetrics {
    reviews: Family<ReviewLabels, Counter>,
    /// The series of `reviews` without findings and edits, by webhook, authentication and dry run. They count most reviews.
    silent: [[[Counter; 2]; 2]; 2],
    topologies: TopologyLabels,
    findings: Family<FindingLabels, Counter>,
    unanswered: Family<UnansweredLabels, Counter>,
    not_recorded: Counter,
    seconds: Family<WebhookLabels, Durations, fn() -> Durations>,
    // The series are looked up once, which saves each review a lock and a hash.
    mutate_seconds: Durations,
    validate_seconds: Durations,
}

/// The reason why a review has no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unanswered {
    /// The cluster's state has not been read yet.
    NotSynced,
    /// The state of a namespace has not been read yet.
    NotKnown,
    /// The body is not a review, or a review without a uid.
    Malformed,
    /// The patch does not apply, which is a defect.
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
    authentication: &'static str,
    verdict: &'static str,
    rule: &'static str,
    reason: &'static str,
    dry_run: bool,
}

impl ReviewLabels {
    fn of(phase: Phase, caller: Authentication, dry_run: bool, verdict: &Verdict) -> Self {
        let headline = verdict.headline();
        let (rule, reason) =
            headline.map_or((NONE, NONE), |headline| (headline.rule.id(), headline.reason.code()));
        let (webhook, authentication) = (phase.word(), caller.word());
        Self { webhook, authentication, verdict: verdict.word(), rule, reason, dry_run }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    authentication: &'static str,
    topology: TopologyLabel,
    rule: &'static str,
    reason: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnansweredLabels {
    reason: Unanswered,
}

/// The verdict on a request whose object cannot be decoded, as one word.
pub(super) const fn undecoded(is_denied: bool) -> &'static str {
    if is_denied { "deny" } else { "allow" }
}

impl Default for ReviewMetrics {
    fn default() -> Self {
        let seconds: Family<WebhookLabels, Durations, fn() -> Durations> =
            Family::new_with_constructor(|| Durations::new(BUCKETS.into_iter()));
        let time = |phase: Phase| seconds.get_or_create_owned(&WebhookLabels { webhook: phase.word() });
        let reviews = Family::<ReviewLabels, Counter>::default();
        let silent = |phase, caller, dry_run| {
            reviews.get_or_create_owned(&ReviewLabels::of(phase, caller, dry_run, &Verdict::default()))
        };
        let unanswered = Family::<UnansweredLabels, Counter>::default();
        // Series are created before their first event, because a series that appears with it shows no increase.
        for reason in Unanswered::ALL {
            drop(unanswered.get_or_create(&UnansweredLabels { reason }));
        }
        Self {
            silent: Phase::ALL.map(|phase| {
                Authentication::ALL.map(|caller| [false, true].map(|dry| silent(phase, caller, dry)))
            }),
            reviews,
            topologies: TopologyLabels::default(),
            findings: Family::default(),
            unanswered,
            not_recorded: Counter::default(),
            mutate_seconds: time(Phase::Mutate),
            validate_seconds: time(Phase::Validate),
            seconds,
        }
    }
}

impl ReviewMetrics {
    /// Registers the metrics, without a prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Completed reviews by verdict, rule and reason", self.reviews.clone());
        registry.register(
            "findings",
            "Findings by topology and severity: deny, exception (it would deny, and an exception of the topology allows it), warn or audit; topologies after the first 32 count as other",
            self.findings.clone(),
        );
        registry.register(
            "reviews_unanswered",
            "Reviews without a verdict, by reason",
            self.unanswered.clone(),
        );
        registry.register(
            "reviews_not_recorded",
            "Reviews of callers without a client certificate that were not recorded and not logged, because their address exceeded the rate of records",
            self.not_recorded.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from the complete request body to the response",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    /// Counts a review that has a response.
    pub(super) fn reviewed(&self, phase: Phase, caller: Authentication, review: &Review<'_>) {
        let dry_run = review.request.dry_run;
        match &review.decision {
            Decision::Judged { verdict, .. } if verdict.headline().is_none() => {
                self.silent(phase, caller, dry_run).inc();
            }
            Decision::Judged { verdict, .. } => self.judged(phase, caller, dry_run, verdict),
            Decision::Undecodable { is_denied, .. } => {
                let (webhook, authentication) = (phase.word(), caller.word());
                let (verdict, rule, reason) = (undecoded(*is_denied), NONE, NONE);
                let labels = ReviewLabels { webhook, authentication, verdict, rule, reason, dry_run };
                self.reviews.get_or_create(&labels).inc();
            }
        }
    }

    fn judged(&self, phase: Phase, caller: Authentication, dry_run: bool, verdict: &Verdict) {
        self.reviews.get_or_create(&ReviewLabels::of(phase, caller, dry_run, verdict)).inc();
        for finding in &verdict.findings {
            let labels = FindingLabels {
                authentication: caller.word(),
                topology: self.topologies.label(&finding.topology),
                rule: finding.rule.id(),
                reason: finding.reason.code(),
                severity: if finding.exception.is_some() { EXCEPTION } else { finding.severity.word() },
            };
            self.findings.get_or_create(&labels).inc();
        }
    }

    const fn silent(&self, phase: Phase, caller: Authentication, dry_run: bool) -> &Counter {
        let [mutate, validate] = &self.silent;
        let [with_certificate, without] = match phase {
            Phase::Mutate => mutate,
            Phase::Validate => validate,
        };
        let [stored, dry] = match caller {
            Authentication::ClientCertificate => with_certificate,
            Authentication::None => without,
        };
        if dry_run { dry } else { stored }
    }

    /// Counts a review that was not recorded, because its caller exceeded its rate.
    pub(super) fn not_recorded(&self) {
        self.not_recorded.inc();
    }

    /// Counts a review without a verdict.
    pub(super) fn unanswered(&self, reason: Unanswered) {
        self.unanswered.get_or_create(&UnansweredLabels { reason }).inc();
    }

    /// Observes the duration of a review, with or without a verdict.
    pub(super) fn observe_duration(&self, phase: Phase, duration: Duration, trace: Option<TraceContext>) {
        let seconds = match phase {
            Phase::Mutate => &self.mutate_seconds,
            Phase::Validate => &self.validate_seconds,
        };
        // A trace that is not sampled can be looked up nowhere.
        let sampled = trace.filter(|trace| trace.is_sampled);
        let exemplar = sampled.map(|trace| ExemplarLabels { trace_id: trace.trace_id.to_string() });
        let time = exemplar.is_some().then(SystemTime::now);
        seconds.observe(duration.as_secs_f64(), exemplar, time);
    }
}
