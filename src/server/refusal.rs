//! Requests that the server itself turns down.

use std::fmt;

use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use super::answer::CLOSE;
use super::call::{Reply, StatusCode};
use super::limits::Limits;

/// Why a request never got an answer of the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// More reviews are under way than there are slots.
    Busy,
    /// All bodies together would hold more memory than they may.
    Memory,
    /// The body has more bytes than one body may have.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body broke off.
    BodyBroken,
    /// It is not said to be JSON.
    MediaType,
    /// Nothing is served at the path.
    NotFound,
    /// The path is served, but by POST only.
    Method,
    /// The handler panicked.
    Panic,
}

impl Refusal {
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

    /// The answer. The API server shows its sentence to the user.
    pub(super) fn answer(self, limits: &Limits) -> Response {
        let reply = match self {
            Self::Busy | Self::Memory => Reply::not_now(self.sentence(limits)),
            refusal => Reply::sentence(refusal.status(), refusal.sentence(limits)),
        };
        let mut response = reply.into_response();
        if self.spoils_connection() {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response
    }

    /// Whether what remains of the body is worth waiting for.
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

    fn sentence(self, limits: &Limits) -> String {
        match self {
            Self::Busy => "too many reviews are under way; call again in a second".to_owned(),
            Self::Memory => "too many request bodies are under way; call again in a second".to_owned(),
            Self::BodyTooLarge => {
                format!("the request body has more than {} bytes, the most that is read", limits.body_bytes)
            }
            Self::BodyTooSlow => format!("the request body did not arrive within {:?}", limits.body),
            Self::BodyBroken => "the request body broke off before its end".to_owned(),
            Self::MediaType => "the content type must be `application/json`".to_owned(),
            Self::NotFound => {
                "nothing is served at this path; reviews are posted to `/mutate` or `/validate`".to_owned()
            }
            Self::Method => "reviews are sent by POST".to_owned(),
            Self::Panic => "the review failed on a defect of the webhook; its log says where".to_owned(),
        }
    }

    /// Whether bytes of the body may still be under way, which would be taken for the next request.
    const fn spoils_connection(self) -> bool {
        matches!(self, Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyBroken)
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.label().encode(encoder)
    }
}
