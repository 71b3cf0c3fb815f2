//! Tracing: the trace that a call belongs to, and the export of spans to an OpenTelemetry collector.
//!
//! The API server sends the header `traceparent` of W3C Trace Context with its calls when its own tracing is on. Its sampling decides:
//! only calls of sampled traces become spans. A span is pushed to a queue, and one thread exports them ([`SpanExporter`]), so that no
//! review waits for the collector.

mod collector;
mod context;
mod exporter;
mod queue;

pub use collector::{Collector, CollectorError, Endpoint, EndpointError};
pub use context::{Id, SpanId, TraceContext, TraceId};
pub use exporter::{SpanExporter, resource};
