//! Reviews: from an HTTP request to the handler, and back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, Version};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, error};

use super::body::{Payload, discard};
use super::connection_table::{Charge, Connection};
use super::handler::{Authentication, Call, Caller, Handled, Handler, Reply};
use super::heavy::HeavyQueue;
use super::limits::Limits;
use super::metrics::ServerMetrics;
use super::rejection::Rejection;
use crate::change::Phase;
use crate::trace::TraceContext;

/// The service of reviews, which decides which requests reach the handler.
pub(super) struct Reviews {
    handler: Arc<dyn Handler>,
    heavy: Arc<HeavyQueue>,
    limits: Limits,
    metrics: ServerMetrics,
}

/// The longest time for which a call waits for newer knowledge. A watch receives an object within milliseconds after it is
/// stored, and a snapshot follows within 0.1 s.
const LONGEST_LAG: Duration = Duration::from_millis(500);

/// The parts of a request head that its call needs.
#[derive(Debug, Clone, Copy)]
struct Head {
    phase: Phase,
    trace: Option<TraceContext>,
    received: Instant,
}

impl Head {
    fn call<'c>(self, body: &'c [u8], sender: &'c Sender) -> Call<'c> {
        let Self { phase, trace, received } = self;
        Call { phase, body, caller: sender.caller(), trace, received }
    }
}

/// The sender of a request.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) authentication: Authentication,
    pub(super) connection: Arc<Connection>,
}

impl Sender {
    fn caller(&self) -> Caller<'_> {
        Caller { authentication: self.authentication, connection: &self.connection }
    }
}

impl Reviews {
    pub(super) fn new(handler: Arc<dyn Handler>, limits: Limits, metrics: ServerMetrics) -> Self {
        let heavy = HeavyQueue::new(limits.heavy, limits.heavy_waiting);
        Self { handler, heavy, limits, metrics }
    }

    /// Answers one request.
    pub(super) async fn respond(&self, request: Request<Incoming>, sender: &Sender) -> Response<Full<Bytes>> {
        sender.connection.touch();
        let (head, mut body) = request.into_parts();
        let (version, endpoint) = (head.version, endpoint(&head));
        // The head is dropped, so that a slow body takes no other memory.
        drop(head);
        // Every request is charged, also one whose body is discarded: it takes memory until it is answered.
        let charge = sender.connection.charge(Limits::REQUEST_BYTES).ok_or(Rejection::Memory);
        let outcome = match (endpoint, charge) {
            (Ok(head), Ok(charge)) => self.review(head, &mut body, charge, sender).await,
            (Err(rejection), Ok(charge)) => {
                let response = self.reject(rejection, version, body).await;
                drop(charge);
                return response;
            }
            (_, Err(rejection)) => Err(rejection),
        };
        match outcome {
            Ok(response) => response,
            Err(rejection) => self.reject(rejection, version, body).await,
        }
    }

    async fn review(
        &self,
        head: Head,
        body: &mut Incoming,
        charge: Charge,
        sender: &Sender,
    ) -> Result<Response<Full<Bytes>>, Rejection> {
        let payload = Payload::read(body, &self.limits, charge).await?;
        let _answering = sender.connection.answer();
        let is_large = payload.bytes.len() > self.limits.light_bytes;
        let handled =
            if is_large { Handled::Heavy } else { self.judge_current(head, &payload, sender).await? };
        let (reply, charge) = match handled {
            Handled::Reply(reply) => {
                let Payload { bytes, charge } = payload;
                drop(bytes);
                (reply, charge)
            }
            Handled::Heavy | Handled::Behind => self.judge_heavy(head, payload, sender).await?,
        };
        reply.into_charged_response(charge).ok_or(Rejection::Memory)
    }

    /// Judges a light call, again with each newer knowledge while the handler lags behind.
    async fn judge_current(
        &self,
        head: Head,
        payload: &Payload,
        sender: &Sender,
    ) -> Result<Handled, Rejection> {
        let start = Instant::now();
        loop {
            let handled = self.judge(head, payload, sender)?;
            let left = LONGEST_LAG.saturating_sub(start.elapsed());
            if handled != Handled::Behind || !timeout(left, self.handler.newer()).await.unwrap_or(false) {
                return Ok(handled);
            }
        }
    }

    fn judge(&self, head: Head, payload: &Payload, sender: &Sender) -> Result<Handled, Rejection> {
        let call = head.call(&payload.bytes, sender);
        caught(head.phase, || self.handler.handle(call)).ok_or_else(|| self.panicked())
    }

    /// Judges a heavy call on a thread of its own, when its turn comes.
    async fn judge_heavy(
        &self,
        head: Head,
        payload: Payload,
        sender: &Sender,
    ) -> Result<(Reply, Charge), Rejection> {
        let turn = self.heavy.turn(sender.connection.peer()).await.ok_or(Rejection::Busy)?;
        let (handler, sender) = (Arc::clone(&self.handler), sender.clone());
        let judged = spawn_blocking(move || {
            // The turn ends with the work, also if nobody waits for it any longer.
            let _turn = turn;
            let Payload { bytes, charge } = payload;
            let call = head.call(&bytes, &sender);
            caught(head.phase, || handler.handle_heavy(call)).map(|reply| (reply, charge))
        });
        judged.await.ok().flatten().ok_or_else(|| self.panicked())
    }

    fn panicked(&self) -> Rejection {
        self.metrics.panicked();
        Rejection::Panic
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
            discard(&mut body, &self.limits).await;
        }
        rejection.into_response(&self.limits)
    }
}

/// Calls the handler; `None` if it panics.
fn caught<T>(phase: Phase, handle: impl FnOnce() -> T) -> Option<T> {
    // Unwind safety: the handler answers each call separately, and no state of a failed call is kept here.
    let outcome = catch_unwind(AssertUnwindSafe(handle));
    outcome
        .map_err(|panic| {
            error!(path = phase.path(), panic = panic_message(panic.as_ref()), "handler panicked");
        })
        .ok()
}

/// Returns the parts that the call needs, if an endpoint accepts the request.
fn endpoint(head: &Parts) -> Result<Head, Rejection> {
    let mut phases = Phase::ALL.into_iter();
    let phase = phases.find(|phase| phase.path() == head.uri.path()).ok_or(Rejection::NotFound)?;
    if head.method != Method::POST {
        Err(Rejection::Method)
    } else if !is_json(&head.headers) {
        Err(Rejection::MediaType)
    } else {
        Ok(Head { phase, trace: TraceContext::of(&head.headers), received: Instant::now() })
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
