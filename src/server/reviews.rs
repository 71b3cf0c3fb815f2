//! From a request to the handler and back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, error};

use super::body::{Payload, discard};
use super::budget::Budget;
use super::call::{Call, Handler, Reply};
use super::limits::Limits;
use super::metrics::Metrics;
use super::refusal::Refusal;
use crate::change::Phase;

/// Takes requests, and decides which of them the handler gets to see.
struct Reviews {
    handler: Arc<dyn Handler>,
    slots: Semaphore,
    memory: Budget,
    limits: Limits,
    metrics: Metrics,
}

/// The webhook's routes.
pub(super) fn router(handler: Arc<dyn Handler>, limits: &Limits, metrics: &Metrics) -> Router {
    let reviews = Reviews {
        handler,
        slots: Semaphore::new(limits.reviews),
        memory: Budget::new(limits.buffered_bytes),
        limits: limits.clone(),
        metrics: metrics.clone(),
    };
    Router::new()
        .route(Phase::Mutate.path(), post(mutate))
        .route(Phase::Validate.path(), post(validate))
        .method_not_allowed_fallback(method)
        .fallback(not_found)
        .with_state(Arc::new(reviews))
}

async fn mutate(State(reviews): State<Arc<Reviews>>, request: Request) -> Response {
    reviews.answer(Phase::Mutate, request).await
}

async fn validate(State(reviews): State<Arc<Reviews>>, request: Request) -> Response {
    reviews.answer(Phase::Validate, request).await
}

async fn method(State(reviews): State<Arc<Reviews>>, request: Request) -> Response {
    reviews.refuse(Refusal::Method, request.version(), request.into_body()).await
}

async fn not_found(State(reviews): State<Arc<Reviews>>, request: Request) -> Response {
    reviews.refuse(Refusal::NotFound, request.version(), request.into_body()).await
}

impl Reviews {
    async fn answer(&self, phase: Phase, request: Request) -> Response {
        // The head is dropped here: while a body is slow, only the body is held.
        let (head, mut body) = request.into_parts();
        let (version, is_json) = (head.version, is_json(&head.headers));
        drop(head);
        let outcome = if is_json { self.review(phase, &mut body).await } else { Err(Refusal::MediaType) };
        match outcome {
            Ok(reply) => reply.into_response(),
            Err(refusal) => self.refuse(refusal, version, body).await,
        }
    }

    async fn review(&self, phase: Phase, body: &mut Body) -> Result<Reply, Refusal> {
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Busy)?;
        let read = Payload::read(body, self.limits.body_bytes, &self.memory);
        let payload = timeout(self.limits.body, read).await.map_err(|_| Refusal::BodyTooSlow)??;
        self.call(Call { phase, body: payload.as_slice() })
    }

    fn call(&self, call: Call<'_>) -> Result<Reply, Refusal> {
        // Unwind safety: the handler answers each call by itself, and this type keeps nothing of it.
        catch_unwind(AssertUnwindSafe(|| self.handler.handle(call))).map_err(|panic| {
            self.metrics.panicked();
            error!(path = call.phase.path(), panic = words(panic.as_ref()), "handler panicked");
            Refusal::Panic
        })
    }

    async fn refuse(&self, refusal: Refusal, version: Version, mut body: Body) -> Response {
        self.metrics.refused(refusal);
        debug!(reason = ?refusal, "request refused");
        // HTTP/2 ends a request without the connection, and holds too many of them to be patient.
        if version < Version::HTTP_2 && refusal.leaves_body() {
            // Whether it came to its end or not, the answer is due.
            let _ = timeout(self.limits.body, discard(&mut body)).await;
        }
        refusal.answer(&self.limits)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split_once(';').map_or(value, |(essence, _parameters)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// What a panic said, if it was a text.
fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn json_is_known_by_its_essence() {
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
