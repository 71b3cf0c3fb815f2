//! What passes between the server and the one who decides.

use std::time::Duration;

pub use axum::http::StatusCode;

use crate::change::Phase;

/// What answers the webhook's calls.
///
/// It is called on the runtime's own threads: it may compute, but must not block. A panic in it is answered
/// with status 500, and the connection lives on.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call.
    fn handle(&self, call: Call<'_>) -> Reply;
}

/// One call of the API server.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The phase whose endpoint it was posted to.
    pub phase: Phase,
    /// The whole body, as it was received. It was sent as `application/json`, and not looked at.
    pub body: &'a [u8],
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// What the body is.
    pub content_type: ContentType,
    /// The body.
    pub body: Vec<u8>,
    /// When the caller should call again, in whole seconds (parts of one are rounded up).
    ///
    /// Over HTTP/1.1 such an answer also closes the connection, so that the next call may reach another
    /// replica.
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// Status 200 and a JSON document.
    #[must_use]
    pub const fn json(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, content_type: ContentType::Json, body, retry_after: None }
    }

    /// A sentence for a person, who reads it as the reason why the API server could not use the webhook.
    #[must_use]
    pub fn sentence(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            content_type: ContentType::Text,
            body: sentence.into().into_bytes(),
            retry_after: None,
        }
    }

    /// Status 503: not now, but in a second. The API server repeats such a call by itself.
    #[must_use]
    pub fn not_now(sentence: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::sentence(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    }
}

/// What the body of a [`Reply`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`
    Json,
    /// `text/plain; charset=utf-8`
    Text,
}
