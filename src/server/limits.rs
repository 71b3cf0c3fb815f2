//! The limits of the HTTPS port, and the reason for each default.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;

/// The limits of the HTTPS port. The defaults are based on the behavior of the API server and of Go's HTTP client.
///
/// Together they bound the memory that clients can make the server use: a buffer of `header_bytes` per connection, up
/// to twice `buffered_bytes` for bodies, and one frame per HTTP/2 request. They do not keep other clients from using
/// up the connections: that requires a network policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of open connections. Further ones wait in the kernel's queue. Default 1024: over HTTP/1.1
    /// the API server uses one connection per call and keeps 25 idle ones, and 1024 calls are about 50 ms of work for
    /// two cores.
    pub connections: usize,
    /// The time limit of a TLS handshake. Default 10s, after which Go's client gives up, too.
    pub handshake: Duration,
    /// The time limit from the start of a connection to its first complete request head. Default 120s, and at least
    /// `idle`: Go opens connections ahead, so its pool contains connections that never carried a request. If the
    /// server closes one of them just as Go uses it for a POST, the call fails, because Go does not retry it.
    pub first_request: Duration,
    /// The time that a connection may be idle, and the time limit of each request head after the first: hyper does not
    /// distinguish them. Default 120s: the API server closes idle connections after 90s, and must close first for the
    /// reason given at `first_request`.
    pub idle: Duration,
    /// The time limit of a request body. Default 10s, the API server's default webhook timeout. The API server sends
    /// the body at once.
    pub body: Duration,
    /// The maximum size of a request body in bytes. Default 8 MiB: a review contains an object and its old version, up
    /// to 3 MiB each. The rest of a rejected body is discarded up to twice this size, so that its sender can read the
    /// response.
    pub body_bytes: usize,
    /// The maximum size of all request bodies together in bytes, counted as they arrive. Default 64 MiB: eight of the
    /// largest reviews, or 3,800 ordinary ones of 17 KB.
    pub buffered_bytes: usize,
    /// The maximum number of reviews in flight, from the head of the request to the response. Default 1024, like
    /// `connections`. It matters for HTTP/2, where one connection carries up to 256 requests.
    pub reviews: usize,
    /// The maximum size of a request head in bytes, and the size of a connection's read buffer. Default 64 KiB, at
    /// least 8 KiB. The API server's heads have less than 1 KB.
    pub header_bytes: usize,
    /// The time for which a stopping server still serves. Default 10s: a pod that is no longer ready may be called for
    /// that long.
    pub drain: Duration,
    /// The time for open requests after `drain`, before their connections are closed. Default 5s. Both must end before
    /// the pod's `terminationGracePeriodSeconds`, by default 30s.
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

/// The error of an invalid limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// The limit is too small to serve anything.
    #[error("the limit `{limit}` is `{value}`; it must be at least {least}")]
    TooSmall {
        /// The field of [`Limits`].
        limit: &'static str,
        /// The configured value.
        value: usize,
        /// The smallest valid value.
        least: usize,
    },
    /// The limit is larger than the counter.
    #[error("the limit `{limit}` is `{value}`; it must be at most {most}")]
    TooLarge {
        /// The field of [`Limits`].
        limit: &'static str,
        /// The configured value.
        value: usize,
        /// The largest valid value.
        most: usize,
    },
    /// The time is zero, so everything would time out at once.
    #[error("the limit `{limit}` is `0s`; it must be longer")]
    ZeroTime {
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
        // A body that exceeds all budgets would get `503` and be retried forever.
        within("buffered_bytes", self.buffered_bytes, self.body_bytes, Semaphore::MAX_PERMITS)?;
        within("header_bytes", self.header_bytes, LEAST_HEADER_BYTES, usize::MAX)?;
        not_zero("handshake", self.handshake)?;
        not_zero("first_request", self.first_request)?;
        not_zero("idle", self.idle)?;
        not_zero("body", self.body)
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

fn not_zero(limit: &'static str, value: Duration) -> Result<(), LimitsError> {
    if value.is_zero() { Err(LimitsError::ZeroTime { limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn the_api_server_closes_idle_connections_first() {
        let gos_idle_timeout = Duration::from_secs(90);
        let limits = Limits::default();
        assert!(limits.idle > gos_idle_timeout && limits.first_request > gos_idle_timeout);
    }

    #[test]
    fn an_invalid_limit_is_named() {
        let limits = Limits { connections: 0, ..Limits::default() };
        let error = limits.check().unwrap_err();
        assert_eq!(error.to_string(), "the limit `connections` is `0`; it must be at least 1");
        let limits = Limits { idle: Duration::ZERO, ..Limits::default() };
        let error = limits.check().unwrap_err();
        assert_eq!(error.to_string(), "the limit `idle` is `0s`; it must be longer");
    }

    #[test]
    fn the_largest_body_fits_into_the_limit_of_all_bodies() {
        let limits = Limits { body_bytes: 100, buffered_bytes: 99, ..Limits::default() };
        assert!(matches!(limits.check(), Err(LimitsError::TooSmall { limit: "buffered_bytes", .. })));
    }
}
