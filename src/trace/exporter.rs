//! The exporter: reviews push spans to a queue, and one thread sends them to the collector.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstep_core::escape::cut;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::resource::EnvResourceDetector;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::runtime::Runtime;
use tracing::{info, warn};

use super::collector::{Collector, Taken};
use super::queue::SpanQueue;
use crate::batch_queue::BatchQueue;
use crate::error::chain;

/// The maximum number of spans in one request, which is the default of OpenTelemetry's processors.
const BATCH: usize = 512;
/// The pause between two exports.
const PERIOD: Duration = Duration::from_secs(1);
/// The pauses before the retries of a batch. After the last one, the batch is dropped.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The time limit for exporting the last spans before the process exits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two warnings.
const SILENCE: Duration = Duration::from_mins(1);
/// The maximum length of an error in a log line, in bytes.
const ERROR_LIMIT: usize = 512;

/// The exporter of spans. Clones export to the same collector.
#[derive(Debug, Clone)]
pub struct SpanExporter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: BatchQueue<SpanQueue>,
    metrics: SpanMetrics,
    /// Whether the last export failed.
    is_failing: AtomicBool,
}

/// The metrics of the exporter. Clones count together.
#[derive(Debug, Clone)]
struct SpanMetrics {
    exported: Counter,
    dropped: Family<DropLabels, Counter>,
    failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    reason: DropReason,
}

/// The reason why a span was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum DropReason {
    /// The queue was full.
    QueueFull,
    /// The caller, who may be anyone, exceeded its rate.
    Limited,
    /// No export succeeded, and the retries are over.
    Failed,
    /// The collector rejected it.
    Rejected,
}

impl DropReason {
    const ALL: [Self; 4] = [Self::QueueFull, Self::Limited, Self::Failed, Self::Rejected];
}

impl EncodeLabelValue for DropReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let label = match self {
            Self::QueueFull => "queue_full",
            Self::Limited => "limited",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        };
        label.encode(encoder)
    }
}

impl Default for SpanMetrics {
    fn default() -> Self {
        let dropped = Family::default();
        // Series are created before their first event, because a series that appears with it shows no increase.
        for reason in DropReason::ALL {
            drop(dropped.get_or_create(&DropLabels { reason }));
        }
        Self { exported: Counter::default(), dropped, failures: Counter::default() }
    }
}

impl SpanMetrics {
    fn dropped(&self, reason: DropReason, count: u64) {
        self.dropped.get_or_create(&DropLabels { reason }).inc_by(count);
    }
}

/// The resource that spans belong to: this replica of Lockstep, with the attributes in `OTEL_RESOURCE_ATTRIBUTES`.
#[must_use]
pub fn resource(replica: &str) -> Resource {
    let replica = replica.to_owned();
    let attributes = [
        KeyValue::new("service.name", "lockstep"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", replica),
    ];
    let resource = opentelemetry_sdk::Resource::builder_empty()
        .with_attributes(attributes)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build();
    let attributes = ResourceAttributesWithSchema::from(&resource).attributes.0;
    Resource { attributes, ..Resource::default() }
}

impl SpanExporter {
    /// Starts the thread that sends the spans of `resource` to `collector`.
    ///
    /// # Errors
    /// If no thread or no runtime can be started.
    pub fn start(collector: Collector, resource: Resource) -> io::Result<Self> {
        // A runtime of its own: a name server that does not answer delays neither reviews nor the exit of the process.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        info!(collector = collector.url(), "exporting spans");
        let exporter = Self(Arc::default());
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let sender = Sender {
            shared: Arc::clone(&exporter.0),
            collector,
            resource,
            scope,
            runtime,
            log: FailureLog::default(),
        };
        std::thread::Builder::new().name("spans".to_owned()).spawn(move || sender.run())?;
        Ok(exporter)
    }

    /// Registers the metrics of the exporter.
    pub fn register(&self, registry: &mut Registry) {
        let SpanMetrics { exported, dropped, failures } = &self.0.metrics;
        registry.register("spans_exported", "Spans that the collector took", exported.clone());
        registry.register(
            "spans_dropped",
            "Spans that no collector has, by reason; queue_full: too many waited; limited: a caller without a client certificate exceeded its rate; failed: no export succeeded; rejected: the collector did not take them",
            dropped.clone(),
        );
        registry.register(
            "span_export_failures",
            "Failed attempts to send spans to the collector",
            failures.clone(),
        );
    }

    /// Queues a span. It never waits: the span is dropped if the queue is full.
    pub(crate) fn export(&self, span: Span) {
        if !self.0.queue.push(|queue| queue.push(span)) {
            self.0.metrics.dropped(DropReason::QueueFull, 1);
        }
    }

    /// Counts a span that is not exported, because its caller exceeded its rate.
    pub(crate) fn limit(&self) {
        self.0.metrics.dropped(DropReason::Limited, 1);
    }

    /// Exports the queued spans, within 2 s; a collector that failed last is not waited for.
    pub fn close(&self) {
        let is_failing = self.0.is_failing.load(Ordering::Relaxed);
        let limit = if is_failing { Duration::ZERO } else { CLOSE_TIMEOUT };
        if !self.0.queue.close(limit) {
            warn!("exiting before the last spans were exported");
        }
    }
}

/// The state of the exporting thread.
struct Sender {
    shared: Arc<Shared>,
    collector: Collector,
    resource: Resource,
    scope: InstrumentationScope,
    runtime: Runtime,
    log: FailureLog,
}

impl Sender {
    fn run(mut self) {
        let mut queue = SpanQueue::default();
        loop {
            let is_closed = self.shared.queue.drain(&mut queue);
            let SpanQueue { spans, dropped } = std::mem::take(&mut queue);
            if is_closed && spans.is_empty() {
                break;
            }
            if dropped > 0 {
                self.log.failed(&format!("the queue was full, {dropped} spans were dropped"));
            }
            let mut spans = spans.into_iter();
            loop {
                let batch: Vec<Span> = spans.by_ref().take(BATCH).collect();
                if batch.is_empty() {
                    break;
                }
                self.send(batch);
            }
            self.shared.queue.wait_closed(PERIOD);
        }
        self.shared.queue.finish();
    }

    /// Sends a batch, again after failures that may pass. Once the queue is closed, there is one attempt.
    fn send(&mut self, spans: Vec<Span>) {
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let body = self.request(spans).encode_to_vec().into();
        let mut pauses = RETRIES.into_iter();
        loop {
            let outcome = self.runtime.block_on(self.collector.send(Clone::clone(&body)));
            self.shared.is_failing.store(outcome.is_err(), Ordering::Relaxed);
            let metrics = &self.shared.metrics;
            let error = match outcome {
                Ok(Taken { rejected, message }) => {
                    metrics.exported.inc_by(count.saturating_sub(rejected));
                    metrics.dropped(DropReason::Rejected, rejected);
                    if rejected > 0 {
                        self.log
                            .failed(&format!("the collector rejects {rejected} of {count} spans: {message}"));
                    } else {
                        self.log.recovered();
                    }
                    return;
                }
                Err(error) => error,
            };
            metrics.failures.inc();
            self.log.failed(&chain(&error));
            let pause = pauses.next().filter(|_| error.is_transient());
            if pause.is_none_or(|pause| self.shared.queue.wait_closed(pause)) {
                metrics.dropped(DropReason::Failed, count);
                return;
            }
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = ScopeSpans { scope: Some(self.scope.clone()), spans, ..ScopeSpans::default() };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![scope_spans],
                ..ResourceSpans::default()
            }],
        }
    }
}

/// A log of failures that warns at most once a minute, and of the recovery after a warning.
#[derive(Debug, Default)]
struct FailureLog {
    warned: Option<Instant>,
    is_failing: bool,
}

impl FailureLog {
    fn failed(&mut self, error: &str) {
        if self.is_news(Instant::now()) {
            // What a collector says may be long.
            warn!(error = cut(error, ERROR_LIMIT), "spans are not exported");
        }
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            info!("spans are exported again");
        }
    }

    /// Whether a failure at this time is to be logged.
    fn is_news(&mut self, now: Instant) -> bool {
        let is_silent = self.warned.is_some_and(|warned| now.saturating_duration_since(warned) < SILENCE);
        let is_news = !self.is_failing && !is_silent;
        if is_news {
            self.warned = Some(now);
            self.is_failing = true;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_once_and_at_most_once_a_minute() {
        let start = Instant::now();
        let after = |seconds| start.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut log = FailureLog::default();
        for (second, is_news) in [(0, true), (1, false), (70, false)] {
            assert_eq!(log.is_news(after(second)), is_news, "at {second} s");
        }
        log.recovered();
        assert!(log.is_news(after(71)));
        log.recovered();
        for (second, is_news) in [(72, false), (130, false), (131, true), (132, false)] {
            assert_eq!(log.is_news(after(second)), is_news, "at {second} s");
        }
    }
}
