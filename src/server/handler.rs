//! The contract between the server and its handler: calls in, replies out.

use http_body_util::Full;
use hyper::Response;
pub use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::change::Phase;

pub(super) const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The time in seconds after which the API server retries an unavailable webhook. It is the minimum of `Retry-After`.
const RETRY_SECONDS: u64 = 1;

/// The handler of the API server's calls.
///
/// The server calls it on the runtime's own threads: it may compute, but must not block. If it panics, the server
/// responds with status 500 and keeps the connection open.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call.
    fn handle(&self, call: Call<'_>) -> Reply;
}

/// One call of the API server.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The phase of the endpoint.
    pub phase: Phase,
    /// The whole body as received. Its content type is `application/json`, and it is not parsed yet.
    pub body: &'a [u8],
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

    /// The reply as an HTTP response.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
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
