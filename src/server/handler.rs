//! The contract between the server and its handler: calls in, replies out.

use std::pin::Pin;
use std::time::Instant;

use http_body_util::Full;
use hyper::Response;
pub use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::connection_table::{Charge, Connection, UnwrittenAnswer};
use crate::change::Phase;
use crate::trace::TraceContext;

pub(super) const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The time in seconds after which the API server retries an unavailable webhook. It is the minimum of `Retry-After`.
const RETRY_SECONDS: u64 = 1;

/// The handler of the API server's calls. If it panics, the server responds with status 500 and keeps the connection
/// open.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call, or says that it is heavy: that it takes more than about a millisecond.
    ///
    /// The server calls it on the runtime's own threads, so whatever it computes delays other calls.
    fn handle(&self, call: Call<'_>) -> Handled;

    /// Answers one heavy call, on a thread that only heavy calls wait for; or one whose wait for newer knowledge is over.
    fn handle_heavy(&self, call: Call<'_>) -> Reply;

    /// Waits for newer knowledge, after [`Handled::Behind`]. Returns whether there is some: `false` if there never will be.
    fn newer(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(false))
    }
}

/// The result of [`Handler::handle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The reply to the call.
    Reply(Reply),
    /// The answer may be wrong because what the handler knows lags behind the API server. The server waits for
    /// [`Handler::newer`], for half a second at most, and asks again.
    Behind,
    /// The call is heavy. The server passes it to [`Handler::handle_heavy`] when its turn comes.
    Heavy,
}

/// One call of the API server.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The phase of the endpoint.
    pub phase: Phase,
    /// The whole body as received. Its content type is `application/json`, and it is not parsed yet.
    pub body: &'a [u8],
    /// The caller.
    pub caller: Caller<'a>,
    /// The trace that the caller says the request belongs to.
    pub trace: Option<TraceContext>,
    /// The time at which the head of the request was received.
    pub received: Instant,
}

/// The caller of a [`Call`], as far as the connection shows it.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub(super) authentication: Authentication,
    pub(super) connection: &'a Connection,
}

impl Caller<'_> {
    /// The way in which the caller was authenticated.
    #[must_use]
    pub const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// Takes one record from the share of the caller, and returns whether it may be written: without a limit for an
    /// authenticated caller, within [`Limits::records_per_second`](super::Limits::records_per_second) for the others of
    /// its address.
    #[must_use]
    pub fn take_record(&self) -> bool {
        self.authentication == Authentication::ClientCertificate || self.connection.take_record()
    }

    /// Takes one span from the share of the caller, which is limited as records are, and returns whether it may be exported.
    #[must_use]
    pub fn take_span(&self) -> bool {
        self.authentication == Authentication::ClientCertificate || self.connection.take_span()
    }
}

/// The way in which a caller was authenticated.
///
/// Bearer tokens of the API server (KEP-6060, alpha) would be one more way, verified in `reviews` where the head of the
/// request is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// The caller presented a certificate of the client CA, with one of the configured names.
    ClientCertificate,
    /// The caller was not asked for a certificate: anyone who reaches the port.
    None,
}

impl Authentication {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::ClientCertificate, Self::None];

    /// The word in records and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client_certificate",
            Self::None => "none",
        }
    }
}

/// The reply to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: ContentType,
    /// The body.
    pub body: Vec<u8>,
    /// The time in seconds after which the caller should retry; `None` if it should not.
    ///
    /// A reply with this also closes the connection (HTTP/1.1: `Connection: close`; HTTP/2: GOAWAY), so that the retry
    /// opens a new one, which can reach another replica.
    pub retry_after_seconds: Option<u64>,
}

impl Reply {
    /// A reply with status 200 and a JSON document.
    #[must_use]
    pub const fn json(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, content_type: ContentType::Json, body, retry_after_seconds: None }
    }

    /// A reply with a status and one sentence, which the API server shows to its user as the reason why the webhook
    /// failed.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            content_type: ContentType::Text,
            body: text.into().into_bytes(),
            retry_after_seconds: None,
        }
    }

    /// A reply with status 503 and `Retry-After: 1`. The API server retries such a call within the webhook's timeout.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self { retry_after_seconds: Some(RETRY_SECONDS), ..Self::text(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    /// The reply as an HTTP response whose body is charged until it is written; `None` if there is no room for it.
    pub(super) fn into_charged_response(mut self, charge: Charge) -> Option<Response<Full<Bytes>>> {
        let answer = UnwrittenAnswer::new(std::mem::take(&mut self.body), charge)?;
        Some(self.with_body(Bytes::from_owner(answer)))
    }

    /// The reply as an HTTP response that is not charged, which suits short texts only.
    pub(super) fn into_response(mut self) -> Response<Full<Bytes>> {
        let body = Bytes::from(std::mem::take(&mut self.body));
        self.with_body(body)
    }

    fn with_body(self, body: Bytes) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.header());
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            headers.insert(CONNECTION, CLOSE);
        }
        response
    }
}

/// The media type of a [`Reply`]'s body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`
    Json,
    /// `text/plain; charset=utf-8`
    Text,
}

impl ContentType {
    pub(super) const fn header(self) -> HeaderValue {
        match self {
            Self::Json => HeaderValue::from_static("application/json"),
            Self::Text => HeaderValue::from_static("text/plain; charset=utf-8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_reply_asks_for_a_retry_on_another_connection() {
        let response = Reply::unavailable("later").into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONNECTION], "close");
    }
}
