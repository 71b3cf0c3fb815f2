//! Requests that the server rejects without calling the handler.

use std::fmt;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use super::handler::{CLOSE, Reply, StatusCode};
use super::limits::Limits;
use crate::change::Phase;

/// The reason why the server rejected a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rejection {
    /// Too many heavy reviews of this peer wait.
    Busy,
    /// All requests and unread answers together exceed their limit, and no peer holds more than this one.
    Memory,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body ended early.
    BodyBroken,
    /// The content type is not JSON.
    MediaType,
    /// No endpoint has this path.
    NotFound,
    /// The endpoint accepts POST only.
    Method,
    /// The handler panicked.
    Panic,
}

impl Rejection {
    pub(super) const ALL: [Self; 9] = [
        Self::Busy,
        Self::Memory,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BodyBroken,
        Self::MediaType,
        Self::NotFound,
        Self::Method,
        Self::Panic,
    ];

    /// Returns the response. The API server shows its text to the user.
    pub(super) fn into_response(self, limits: &Limits) -> Response<Full<Bytes>> {
        let text = self.text(limits);
        let reply = match self {
            Self::Busy | Self::Memory => Reply::unavailable(text),
            rejection => Reply::text(rejection.status(), text),
        };
        let mut response = reply.into_response();
        match self {
            // Bytes of the body may still arrive, and would be parsed as the next request.
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyBroken => {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Self::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        response
    }

    /// Whether the client may still send a body.
    pub(super) const fn leaves_body(self) -> bool {
        !matches!(self, Self::BodyTooSlow | Self::BodyBroken | Self::Panic)
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Memory => "memory",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyBroken => "body_broken",
            Self::MediaType => "media_type",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::Panic => "panic",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Busy | Self::Memory => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(self, limits: &Limits) -> String {
        match self {
            Self::Busy => "too many large reviews wait; retry after 1s".to_owned(),
            Self::Memory => "too many bytes of requests and answers are in flight; retry after 1s".to_owned(),
            Self::BodyTooLarge => {
                format!("the request body is larger than the limit of {} bytes", limits.body_bytes)
            }
            Self::BodyTooSlow => format!(
                "the request body did not arrive within {:?} or at {} bytes a second",
                limits.body, limits.body_rate
            ),
            Self::BodyBroken => "the request body ended early".to_owned(),
            Self::MediaType => "the content type must be `application/json`".to_owned(),
            Self::NotFound => format!(
                "no endpoint has this path; post reviews to `{}` or `{}`",
                Phase::Mutate.path(),
                Phase::Validate.path()
            ),
            Self::Method => "the method must be `POST`".to_owned(),
            Self::Panic => {
                "the review failed on a bug in lockstep; its log has a line `handler panicked`".to_owned()
            }
        }
    }
}

impl EncodeLabelValue for Rejection {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.label().encode(encoder)
    }
}
