//! The span of a review. Its attributes follow [OpenTelemetry's semantic conventions](https://opentelemetry.io/docs/specs/semconv/) where
//! they have a name, and begin with `lockstep.` elsewhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};

use super::metrics::undecoded;
use crate::admission::{Decision, Review};
use crate::audit::bounded::name;
use crate::server::{Call, StatusCode};
use crate::trace::{SpanExporter, SpanId, TraceContext};

/// Exports the span of a call that is answered with this status, if its trace is sampled.
pub(super) fn export(
    spans: Option<&SpanExporter>,
    call: &Call<'_>,
    status: StatusCode,
    review: Option<&Review<'_>>,
) {
    let Some((spans, trace)) = spans.zip(call.trace.filter(|trace| trace.is_sampled)) else { return };
    // A caller without a client certificate may be anyone, and claim that its trace is sampled.
    if !call.caller.take_span() {
        return spans.limit();
    }
    // Without random numbers there is no id for the span.
    let Some(id) = SpanId::random() else { return };
    spans.export(span(call, trace, id, status, review));
}

fn span(
    call: &Call<'_>,
    trace: TraceContext,
    id: SpanId,
    status: StatusCode,
    review: Option<&Review<'_>>,
) -> Span {
    let path = call.phase.path();
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", "POST");
    attributes.text("http.route", path);
    attributes.text("url.scheme", "https");
    attributes.text("url.path", path);
    attributes.value("http.response.status_code", Value::IntValue(i64::from(status.as_u16())));
    let has_failed = status.is_server_error();
    if has_failed {
        attributes.text("error.type", status.as_str());
    }
    if let Some(review) = review {
        attributes.review(review);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let status = if has_failed { SpanStatusCode::Error } else { SpanStatusCode::Unset };
    Span {
        trace_id: trace.trace_id.to_bytes(),
        span_id: id.to_bytes(),
        parent_span_id: trace.parent_id.to_bytes(),
        // Of the parent: sampled, and on the other side of a connection.
        flags: 1 | SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32,
        name: format!("POST {path}"),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanoseconds(now.saturating_sub(call.received.elapsed())),
        end_time_unix_nano: nanoseconds(now),
        attributes: attributes.0,
        status: Some(Status { code: status.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn nanoseconds(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn value(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }

    /// Adds a text, unless it is empty.
    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.value(key, Value::StringValue(name(text).into_owned()));
        }
    }

    fn review(&mut self, review: &Review<'_>) {
        let request = &review.request;
        let object = request.change.as_ref().map_or(&*request.name, |change| &*change.name);
        self.text("lockstep.review.uid", &request.uid);
        self.text("lockstep.operation", &request.operation);
        self.text("lockstep.object.kind", &request.kind);
        self.text("lockstep.object.name", object);
        self.text("k8s.namespace.name", &request.namespace);
        if let Some(key) = name_attribute(&request.kind) {
            self.text(key, object);
        }
        self.value("lockstep.dry_run", Value::BoolValue(request.dry_run));
        match &review.decision {
            Decision::Undecodable { is_denied, .. } => self.text("lockstep.verdict", undecoded(*is_denied)),
            Decision::Judged { verdict, .. } => {
                self.text("lockstep.verdict", verdict.word());
                if let Some(headline) = verdict.headline() {
                    self.text("lockstep.rule", headline.rule.id());
                    self.text("lockstep.reason", headline.reason.code());
                    self.text("lockstep.topology", headline.topology);
                }
            }
        }
    }
}

/// The attribute of the conventions for the name of an object.
fn name_attribute(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" => "k8s.pod.name",
        "Service" => "k8s.service.name",
        "DaemonSet" => "k8s.daemonset.name",
        "Deployment" => "k8s.deployment.name",
        "ReplicaSet" => "k8s.replicaset.name",
        "StatefulSet" => "k8s.statefulset.name",
        _ => return None,
    })
}
