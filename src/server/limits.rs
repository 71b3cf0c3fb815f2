//! How much of everything the server takes on, and why so much.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;

/// How much the server takes on. [`Limits::default`] is derived, number by number, from what the API server
/// and Go's HTTP client are known to do.
///
/// Together they bound the memory that strangers can make the server hold: a buffer of `header_bytes` per
/// connection, `buffered_bytes` of bodies, and for HTTP/2 one frame per review. What they cannot do is keep
/// strangers from taking the connections themselves; that is a network policy's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; further ones wait in the kernel's queue. Default 1024: over HTTP/1.1 each call of
    /// the API server has a connection of its own, 25 idle ones are kept per API server, and 1024 calls are
    /// some 50 ms of work for two cores.
    pub connections: usize,
    /// Time for a TLS handshake. Default 10 s, after which Go's own side gives up.
    pub handshake: Duration,
    /// How long a new connection may be without a first complete request head. Default 120 s, and no less
    /// than `idle` wherever the API server calls: Go dials ahead, so that its pool holds connections that
    /// never carried a request. One of them closed at the moment it is taken for a POST is a failed call,
    /// which Go does not repeat.
    pub first_request: Duration,
    /// How long a connection may be idle, or take for one request head after the first; both at once,
    /// because hyper cannot tell them apart. Default 120 s: the API server closes idle connections after 90 s,
    /// and must be the one who does it, for the reason given at `first_request`.
    pub idle: Duration,
    /// Time for a request body to arrive. Default 10 s, the webhook timeout that the API server assumes; it
    /// sends the body at once.
    pub body: Duration,
    /// Size of one body. Default 8 MiB: a review holds an object and its old version, of up to 3 MiB each.
    pub body_bytes: usize,
    /// Bytes of bodies held at once, over all requests, counted as they arrive. Default 64 MiB: eight of the
    /// largest reviews, or 3,800 of an ordinary one of 17 KB.
    pub buffered_bytes: usize,
    /// Reviews under way at once, from the head of the request to the answer. Default 1024, as many as
    /// connections: it is for HTTP/2, where one connection carries 256 requests.
    pub reviews: usize,
    /// Size of a request's head, and of the buffer that a connection reads into. Default 64 KiB; the API
    /// server's heads have less than 1 KB. At least 8 KiB.
    pub header_bytes: usize,
    /// How long everything is still served after the end was asked for. Default 10 s: that long the
    /// endpoints of a pod that is no longer ready may keep being called.
    pub drain: Duration,
    /// How long, after that, open requests may take before their connections are cut. Default 5 s; drain and
    /// grace together have to end before the pod's `terminationGracePeriodSeconds`, by default 30 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            body: Duration::from_secs(10),
            body_bytes: 8 << 20,
            buffered_bytes: 64 << 20,
            reviews: 1024,
            header_bytes: 64 << 10,
            drain: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// Limits that no server can keep.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// Nothing could ever be served.
    #[error("the limit `{limit}` is `{value}`; it must be at least {least}")]
    TooSmall {
        /// The field of [`Limits`].
        limit: &'static str,
        /// What it was set to.
        value: usize,
        /// What it may be set to.
        least: usize,
    },
    /// More than can be counted.
    #[error("the limit `{limit}` is `{value}`; it must be at most {most}")]
    TooLarge {
        /// The field of [`Limits`].
        limit: &'static str,
        /// What it was set to.
        value: usize,
        /// What it may be set to.
        most: usize,
    },
    /// Everything would time out at once.
    #[error("the limit `{limit}` is no time at all; set it to a second or more")]
    NoTime {
        /// The field of [`Limits`].
        limit: &'static str,
    },
}

/// hyper panics on a smaller buffer.
const LEAST_HEADER_BYTES: usize = 8192;

impl Limits {
    pub(super) fn check(&self) -> Result<(), LimitsError> {
        within("connections", self.connections, 1, Semaphore::MAX_PERMITS)?;
        within("reviews", self.reviews, 1, Semaphore::MAX_PERMITS)?;
        within("body_bytes", self.body_bytes, 1, usize::MAX)?;
        // A body that the budget can never hold would be asked to come back for ever.
        within("buffered_bytes", self.buffered_bytes, self.body_bytes, usize::MAX)?;
        within("header_bytes", self.header_bytes, LEAST_HEADER_BYTES, usize::MAX)?;
        some_time("handshake", self.handshake)?;
        some_time("first_request", self.first_request)?;
        some_time("idle", self.idle)?;
        some_time("body", self.body)
    }
}

fn within(limit: &'static str, value: usize, least: usize, most: usize) -> Result<(), LimitsError> {
    if value < least {
        return Err(LimitsError::TooSmall { limit, value, least });
    }
    if value > most {
        return Err(LimitsError::TooLarge { limit, value, most });
    }
    Ok(())
}

fn some_time(limit: &'static str, value: Duration) -> Result<(), LimitsError> {
    if value.is_zero() { Err(LimitsError::NoTime { limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_can_be_kept() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn the_api_server_is_the_first_to_close_a_connection() {
        let gos_idle_timeout = Duration::from_secs(90);
        let limits = Limits::default();
        assert!(limits.idle > gos_idle_timeout && limits.first_request > gos_idle_timeout);
    }

    #[test]
    fn a_limit_that_serves_nobody_is_named() {
        let limits = Limits { connections: 0, ..Limits::default() };
        let error = limits.check().unwrap_err();
        assert_eq!(error.to_string(), "the limit `connections` is `0`; it must be at least 1");
        let limits = Limits { idle: Duration::ZERO, ..Limits::default() };
        let error = limits.check().unwrap_err();
        assert_eq!(error.to_string(), "the limit `idle` is no time at all; set it to a second or more");
    }

    #[test]
    fn the_largest_body_must_fit_into_the_budget() {
        let limits = Limits { body_bytes: 100, buffered_bytes: 99, ..Limits::default() };
        assert!(matches!(limits.check(), Err(LimitsError::TooSmall { limit: "buffered_bytes", .. })));
    }
}
