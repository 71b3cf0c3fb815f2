//! Reviews: from an HTTP request to the handler, and back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, Version};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, error};

use super::body::{Payload, discard};
use super::handler::{Call, Handler, Reply};
use super::limits::Limits;
use super::metrics::ServerMetrics;
use super::rejection::Rejection;
use crate::change::Phase;

/// The service of reviews, which decides which requests reach the handler.
pub(super) struct Reviews {
    handler: Arc<dyn Handler>,
    /// One permit per review in flight.
    slots: Semaphore,
    /// One permit per byte of a request body.
    memory: Semaphore,
    limits: Limits,
    metrics: ServerMetrics,
}

impl Reviews {
    pub(super) fn new(handler: Arc<dyn Handler>, limits: Limits, metrics: ServerMetrics) -> Self {
        let (slots, memory) = (Semaphore::new(limits.reviews), Semaphore::new(limits.buffered_bytes));
        Self { handler, slots, memory, limits, metrics }
    }

    /// Answers one request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let (version, endpoint) = (head.version, endpoint(&head));
        // The head is dropped, so that a slow body takes no other memory.
        drop(head);
        // The slot is held until the response, so that a rejected body is discarded inside it. The body of a request
        // without a slot is discarded, too: HTTP/1.1 has one request per connection, and connections are limited.
        let slot = self.slots.try_acquire();
        let outcome = match endpoint {
            Ok(_) if slot.is_err() => Err(Rejection::Busy),
            Ok(phase) => self.review(phase, &mut body).await,
            Err(rejection) => Err(rejection),
        };
        match outcome {
            Ok(reply) => reply.into_response(),
            Err(rejection) => self.reject(rejection, version, body).await,
        }
    }

    async fn review(&self, phase: Phase, body: &mut Incoming) -> Result<Reply, Rejection> {
        let read = Payload::read(body, self.limits.body_bytes, &self.memory);
        let payload = timeout(self.limits.body, read).await.map_err(|_| Rejection::BodyTooSlow)??;
        let call = Call { phase, body: &payload.bytes };
        // Unwind safety: the handler answers each call separately, and no state of a failed call is kept here.
        catch_unwind(AssertUnwindSafe(|| self.handler.handle(call))).map_err(|panic| {
            self.metrics.panicked();
            error!(path = phase.path(), panic = panic_message(panic.as_ref()), "handler panicked");
            Rejection::Panic
        })
    }

    async fn reject(
        &self,
        rejection: Rejection,
        version: Version,
        mut body: Incoming,
    ) -> Response<Full<Bytes>> {
        self.metrics.rejected(rejection);
        debug!(reason = ?rejection, "rejected request");
        // HTTP/2 ends one request without ending the connection, so there is nothing to discard.
        if version < Version::HTTP_2 && rejection.leaves_body() {
            let most = self.limits.body_bytes.saturating_mul(2);
            // The response is sent whether or not the body is complete.
            let _ = timeout(self.limits.body, discard(&mut body, most)).await;
        }
        rejection.into_response(&self.limits)
    }
}

/// Returns the phase of the endpoint, if an endpoint accepts the request.
fn endpoint(head: &Parts) -> Result<Phase, Rejection> {
    let mut phases = Phase::ALL.into_iter();
    let phase = phases.find(|phase| phase.path() == head.uri.path()).ok_or(Rejection::NotFound)?;
    if head.method != Method::POST {
        Err(Rejection::Method)
    } else if !is_json(&head.headers) {
        Err(Rejection::MediaType)
    } else {
        Ok(phase)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split_once(';').map_or(value, |(essence, _parameters)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the panic carries no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn json_is_recognized_with_and_without_parameters() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json-patch+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
