//! The metrics of the watches, the snapshots and the status of topologies.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::kinds::WatchedKind;

/// A gauge in seconds since 1970.
type TimestampGauge = Gauge<f64, AtomicU64>;

/// One series of a gauge with a time.
#[derive(Debug, Clone)]
pub(super) struct Timestamp(TimestampGauge);

impl Timestamp {
    /// Sets the time to now.
    pub(super) fn set(&self) {
        self.0.set(now());
    }

    /// Sets the time to now if it was never set, so that its age is the duration of the silence. A replaced watch
    /// keeps the time of its predecessor.
    pub(super) fn set_once(&self) {
        if self.0.get() == 0.0 {
            self.set();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    kind: WatchedKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IsGuarded {
    guarded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: WriteResult,
}

/// The outcome of a write of a topology's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WriteResult {
    /// The API server stored the status.
    Stored,
    /// The topology had changed, usually because another replica wrote first.
    Conflict,
    /// The write failed and will be retried.
    Failed,
}

impl WriteResult {
    const ALL: [Self; 3] = [Self::Stored, Self::Conflict, Self::Failed];
}

impl EncodeLabelValue for WriteResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Stored => "stored",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
        .encode(encoder)
    }
}

/// The outcome of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum EventResult {
    /// The API server stored the Event.
    Stored,
    /// The API server refused the Event, or did not answer.
    Failed,
    /// There were too many Events at once.
    Dropped,
}

impl EventResult {
    const ALL: [Self; 3] = [Self::Stored, Self::Failed, Self::Dropped];
}

impl EncodeLabelValue for EventResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Stored => "stored",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
        .encode(encoder)
    }
}

/// The outcome of a write of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ReportResult {
    /// The API server stored the report.
    Stored,
    /// The API server deleted the report of a topology that is gone, or of a kind that is no longer used.
    Deleted,
    /// The report had changed, usually because another replica wrote first.
    Conflict,
    /// The write failed and will be retried.
    Failed,
}

impl ReportResult {
    const ALL: [Self; 4] = [Self::Stored, Self::Deleted, Self::Conflict, Self::Failed];
}

impl EncodeLabelValue for ReportResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Stored => "stored",
            Self::Deleted => "deleted",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
        .encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReport {
    result: ReportResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEvent {
    result: EventResult,
}

/// The metrics of the watches. Clones count together.
#[derive(Debug, Clone)]
pub struct WatchMetrics {
    watch_events: Family<Of, Counter>,
    watch_errors: Family<Of, Counter>,
    watch_last_contact: Family<Of, TimestampGauge>,
    facts_age: Gauge<f64, AtomicU64>,
    objects: Family<Of, Gauge>,
    topologies_enforced: Gauge,
    topologies_invalid: Gauge,
    snapshots_published: Counter,
    snapshot_build: Histogram,
    snapshot_published_at: TimestampGauge,
    assessment: Histogram,
    topologies_guarded: Family<IsGuarded, Gauge>,
    status_writes: Family<Outcome, Counter>,
    events: Family<OfEvent, Counter>,
    report_writes: Family<OfReport, Counter>,
}

impl Default for WatchMetrics {
    fn default() -> Self {
        let metrics = Self {
            watch_events: Family::default(),
            watch_errors: Family::default(),
            watch_last_contact: Family::default(),
            facts_age: Gauge::default(),
            objects: Family::default(),
            topologies_enforced: Gauge::default(),
            topologies_invalid: Gauge::default(),
            snapshots_published: Counter::default(),
            // The buckets range from 0.1 ms, for a handful of objects, to 1.6 s.
            snapshot_build: Histogram::new(exponential_buckets(0.0001, 4.0, 8)),
            snapshot_published_at: TimestampGauge::default(),
            assessment: Histogram::new(exponential_buckets(0.0001, 4.0, 8)),
            topologies_guarded: Family::default(),
            status_writes: Family::default(),
            events: Family::default(),
            report_writes: Family::default(),
        };
        metrics.start_at_zero();
        metrics
    }
}

impl WatchMetrics {
    /// Adds the metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "watch_events",
            "Objects listed and changes received by watches, by kind; bookmarks are not counted",
            self.watch_events.clone(),
        );
        registry.register(
            "watch_errors",
            "Failed lists and watches, by kind; each is retried",
            self.watch_errors.clone(),
        );
        registry.register(
            "watch_last_contact_timestamp_seconds",
            "When the API server last confirmed a watch of the kind; before the first time, when the watch started",
            self.watch_last_contact.clone(),
        );
        registry.register(
            "facts_age_seconds",
            "Time since the API server last confirmed the watch that was not confirmed for longest; past `--stale-after` its objects are discarded",
            self.facts_age.clone(),
        );
        registry.register("objects", "Objects in the stores of the watches, by kind", self.objects.clone());
        registry.register(
            "topologies_enforced",
            "Topologies whose rules apply, because every object that they depend on is known",
            self.topologies_enforced.clone(),
        );
        registry.register(
            "topologies_invalid",
            "Topologies that are ignored because their spec is invalid",
            self.topologies_invalid.clone(),
        );
        registry.register("snapshots_published", "Published snapshots", self.snapshots_published.clone());
        registry.register("snapshot_build_seconds", "Time to build a snapshot", self.snapshot_build.clone());
        registry.register(
            "snapshot_published_timestamp_seconds",
            "When the current snapshot was published",
            self.snapshot_published_at.clone(),
        );
        registry.register(
            "assessment_seconds",
            "Time to assess the topologies that a change concerns",
            self.assessment.clone(),
        );
        registry.register(
            "topologies_guarded",
            "Topologies by whether the webhook configurations cover them; only with `--webhook-configuration`",
            self.topologies_guarded.clone(),
        );
        registry.register(
            "status_writes",
            "Writes of the status of topologies, by result",
            self.status_writes.clone(),
        );
        registry.register("events", "Events on topologies and Services, by result", self.events.clone());
        registry.register(
            "report_writes",
            "Writes of the reports of topologies, by result; only with `--reports`",
            self.report_writes.clone(),
        );
    }

    pub(super) fn count_event(&self, kind: WatchedKind) {
        self.watch_events.get_or_create(&Of { kind }).inc();
    }

    pub(super) fn count_error(&self, kind: WatchedKind) {
        self.watch_errors.get_or_create(&Of { kind }).inc();
    }

    /// The time at which a watch of the kind was last confirmed.
    pub(super) fn last_contact(&self, kind: WatchedKind) -> Timestamp {
        Timestamp(self.watch_last_contact.get_or_create_owned(&Of { kind }))
    }

    pub(super) fn set_facts_age(&self, age: Duration) {
        self.facts_age.set(age.as_secs_f64());
    }

    pub(super) fn set_objects(&self, kind: WatchedKind, all: usize, unusable: usize) {
        self.objects.get_or_create(&Of { kind }).set(gauge(all));
        if kind == WatchedKind::GatewayTopology {
            self.topologies_invalid.set(gauge(unusable));
        }
    }

    pub(super) fn set_enforced(&self, topologies: usize) {
        self.topologies_enforced.set(gauge(topologies));
    }

    pub(super) fn set_guarded(&self, guarded: usize, unguarded: usize) {
        for (guarded, count) in [(true, guarded), (false, unguarded)] {
            self.topologies_guarded.get_or_create(&IsGuarded { guarded }).set(gauge(count));
        }
    }

    pub(super) fn count_write(&self, result: WriteResult) {
        self.status_writes.get_or_create(&Outcome { result }).inc();
    }

    pub(super) fn count_event_result(&self, result: EventResult) {
        self.events.get_or_create(&OfEvent { result }).inc();
    }

    pub(super) fn count_report(&self, result: ReportResult) {
        self.report_writes.get_or_create(&OfReport { result }).inc();
    }

    pub(super) fn count_snapshot(&self, cost: Duration) {
        self.snapshots_published.inc();
        self.snapshot_build.observe(cost.as_secs_f64());
        self.snapshot_published_at.set(now());
    }

    pub(super) fn count_assessment(&self, cost: Duration) {
        self.assessment.observe(cost.as_secs_f64());
    }

    /// Creates series before their first event, because a series that appears with it shows no increase.
    fn start_at_zero(&self) {
        for kind in WatchedKind::of_inventory() {
            drop(self.watch_events.get_or_create(&Of { kind }));
            drop(self.watch_errors.get_or_create(&Of { kind }));
        }
        for result in EventResult::ALL {
            drop(self.events.get_or_create(&OfEvent { result }));
        }
        for result in ReportResult::ALL {
            drop(self.report_writes.get_or_create(&OfReport { result }));
        }
        for result in WriteResult::ALL {
            drop(self.status_writes.get_or_create(&Outcome { result }));
        }
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn now() -> f64 {
    // A clock before 1970 is broken, and the metric shows it as 0.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
