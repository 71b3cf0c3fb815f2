//! The limits of the HTTPS port, and the reason for each default.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;

/// The limits of the HTTPS port. The defaults are based on the behavior of the API server and of Go's HTTP client.
///
/// Together they bound the memory that clients can make the server use: `connections` times the state of a TLS
/// connection and a buffer of `header_bytes`, and `buffered_bytes` for requests and answers. Places and bytes are shared
/// by peer address: see `connection_table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of open connections. A further one takes the place of another, or is closed. Default 1024: over
    /// HTTP/1.1 the API server uses one connection per call and keeps 25 idle ones, and it runs at most 600 requests at
    /// once by default.
    pub connections: usize,
    /// The time after which a connection that waits for its client can lose its place to one of a peer that has no fewer
    /// connections. Default 10s: a burst of one API server does not evict its own handshakes, and a stranger who holds
    /// every place cannot make the server do more than a hundred handshakes a second.
    pub settled: Duration,
    /// The maximum number of concurrent requests on one HTTP/2 connection. Default 16: the API server calls Services over
    /// HTTP/1.1, so HTTP/2 is for others.
    pub streams: u32,
    /// The number of handshakes of one peer that are signed at the same time. Default 2: a signature takes some tenths of a
    /// millisecond, and a stranger with a thousand connections delays others by two of them.
    pub signatures: usize,
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
    /// The time that every body may take before its rate counts. Default 2s, which is more than one lost packet costs.
    pub body_start: Duration,
    /// The minimum rate of a body in bytes per second, after `body_start`. Default 1 MiB: a slower body holds its bytes
    /// longer than it is worth, and the largest one arrives within `body` at this rate.
    pub body_rate: usize,
    /// The time for which a client may leave an answer unread. Default 10s, after which the API server gives up, too.
    pub unread: Duration,
    /// The maximum size of a request body in bytes. Default 8 MiB: a review contains an object and its old version, up
    /// to 3 MiB each. The rest of a rejected body is discarded up to twice this size, so that its sender can read the
    /// response.
    pub body_bytes: usize,
    /// The maximum size of all requests and unread answers together in bytes. Bodies count as they arrive, each request
    /// counts [`Limits::REQUEST_BYTES`] more, and an answer counts until it is written. Default 64 MiB: eight of the
    /// largest reviews, or 3,000 ordinary ones of 17 KB. A pod with 256 MiB has room for it and for the connections.
    pub buffered_bytes: usize,
    /// The maximum size of a body in bytes that is judged beside others. Default 64 KiB, four times an ordinary review:
    /// it is decoded within a millisecond. A larger one, and every other call that the handler takes for heavy, is
    /// judged by threads of its own.
    pub light_bytes: usize,
    /// The number of heavy calls that are judged at the same time. Default 1, so that they never take more than one core,
    /// nor the memory of more than one large object.
    pub heavy: usize,
    /// The maximum number of heavy calls of one peer that wait. Default 8: each takes at most some 100 ms, so that they
    /// are answered within a second. Peers take turns.
    pub heavy_waiting: usize,
    /// The maximum size of a request head in bytes, and the size of a connection's read buffer. Default 16 KiB, at
    /// least 8 KiB. The API server's heads have less than 1 KB, or some KB with a token.
    pub header_bytes: usize,
    /// The number of records and log lines a second that reviews of one peer without a client certificate may cause, and of spans.
    /// Default 100: about 200 KB. Further ones are counted.
    pub records_per_second: u32,
    /// The number of such records at once after a pause. Default 1000, the edits of a large rollout.
    pub records_at_once: u32,
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
            settled: Duration::from_secs(10),
            streams: 16,
            signatures: 2,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            body: Duration::from_secs(10),
            body_start: Duration::from_secs(2),
            body_rate: 1 << 20,
            unread: Duration::from_secs(10),
            body_bytes: 8 << 20,
            buffered_bytes: 64 << 20,
            light_bytes: 64 << 10,
            heavy: 1,
            heavy_waiting: 8,
            header_bytes: 16 << 10,
            records_per_second: 100,
            records_at_once: 1000,
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

/// The sizes of the kernel's buffers of a connection, in bytes. Linux doubles them. An answer fits into the first one;
/// the second one is filled and emptied about ten times for the largest body.
pub(super) const SEND_BUFFER: u32 = 64 << 10;
pub(super) const RECEIVE_BUFFER: u32 = 256 << 10;

/// The number of connections that the kernel queues until they are accepted, which takes microseconds each.
pub(super) const BACKLOG: u32 = 4096;

/// hyper panics on a smaller buffer.
const LEAST_HEADER_BYTES: usize = 8192;

/// The largest limit, so that sums do not overflow.
const MOST: usize = usize::MAX >> 3;

impl Limits {
    /// The bytes that each request counts in addition to its body: the state of an HTTP/2 stream and of its task.
    pub const REQUEST_BYTES: usize = 4 << 10;

    pub(super) fn check(&self) -> Result<(), LimitsError> {
        within("connections", self.connections, 1, MOST)?;
        within("heavy", self.heavy, 1, MOST)?;
        within("signatures", self.signatures, 1, Semaphore::MAX_PERMITS)?;
        within("heavy_waiting", self.heavy_waiting, 1, MOST)?;
        within("body_bytes", self.body_bytes, 1, MOST)?;
        within("body_rate", self.body_rate, 1, MOST)?;
        // A body that exceeds all budgets would get `503` and be retried forever.
        let least = self.body_bytes.saturating_add(Self::REQUEST_BYTES);
        within("buffered_bytes", self.buffered_bytes, least, MOST)?;
        within("header_bytes", self.header_bytes, LEAST_HEADER_BYTES, MOST)?;
        not_zero("handshake", self.handshake)?;
        not_zero("first_request", self.first_request)?;
        not_zero("idle", self.idle)?;
        not_zero("body", self.body)?;
        not_zero("unread", self.unread)
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
