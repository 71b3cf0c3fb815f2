//! The metrics of the server.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::rejection::Rejection;

/// The metrics of the server. Clones share their values.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    connections: Counter,
    connections_open: Gauge,
    connections_evicted: Family<EvictionLabels, Counter>,
    connections_refused: Counter,
    handshakes_failed: Family<HandshakeLabels, Counter>,
    requests_in_flight: Gauge,
    requests_refused: Family<RejectionLabels, Counter>,
    panics: Counter,
}

/// The reason why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HandshakeFailure {
    /// The client did not finish in time.
    Timeout,
    /// The client closed the connection.
    Disconnect,
    /// The client sent an alert, usually because it does not trust the server's certificate.
    Alert,
    /// The client does not speak TLS, or no supported version or protocol.
    Protocol,
    /// The client must present a certificate, and presented none or a wrong one.
    Caller,
}

impl HandshakeFailure {
    const ALL: [Self; 5] = [Self::Timeout, Self::Disconnect, Self::Alert, Self::Protocol, Self::Caller];

    /// Whether the server has sent an alert with the reason.
    pub(super) const fn sends_alert(self) -> bool {
        matches!(self, Self::Protocol | Self::Caller)
    }
}

impl EncodeLabelValue for HandshakeFailure {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let label = match self {
            Self::Timeout => "timeout",
            Self::Disconnect => "disconnect",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
            Self::Caller => "caller",
        };
        label.encode(encoder)
    }
}

/// The reason why a connection was closed although its client did not close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Eviction {
    /// A connection of a peer with fewer ones needed its place.
    Places,
    /// Its peer held the most bytes when they were used up.
    Bytes,
    /// Its client did not read an answer.
    Unread,
}

impl Eviction {
    const ALL: [Self; 3] = [Self::Places, Self::Bytes, Self::Unread];
}

impl EncodeLabelValue for Eviction {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let label = match self {
            Self::Places => "places",
            Self::Bytes => "bytes",
            Self::Unread => "unread",
        };
        label.encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    reason: Eviction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: HandshakeFailure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    reason: Rejection,
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let metrics = Self {
            connections: Counter::default(),
            connections_open: Gauge::default(),
            connections_evicted: Family::default(),
            connections_refused: Counter::default(),
            handshakes_failed: Family::default(),
            requests_in_flight: Gauge::default(),
            requests_refused: Family::default(),
            panics: Counter::default(),
        };
        metrics.start_at_zero();
        metrics
    }
}

impl ServerMetrics {
    /// Registers every metric, without a prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "HTTPS connections accepted", self.connections.clone());
        registry.register("connections_open", "HTTPS connections open now", self.connections_open.clone());
        registry.register(
            "connections_evicted",
            "HTTPS connections closed for the sake of others, by reason; places and bytes: its peer address had the most of them; unread: the client did not read an answer",
            self.connections_evicted.clone(),
        );
        registry.register(
            "connections_refused",
            "HTTPS connections closed at once: all places were taken and no peer address had more than this one",
            self.connections_refused.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "Failed TLS handshakes by reason; alert: the client ended the handshake, most often because it rejected the server's certificate; caller: the server rejected the client's certificate",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "requests_in_flight",
            "HTTPS requests received and not answered yet",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "requests_refused",
            "HTTPS requests rejected before a review, by reason; busy and memory: rejected because of load",
            self.requests_refused.clone(),
        );
        registry.register("handler_panics", "Reviews that failed on a bug in lockstep", self.panics.clone());
    }

    pub(super) fn connection(&self) -> Held<'_> {
        self.connections.inc();
        Held::new(&self.connections_open)
    }

    pub(super) fn connection_evicted(&self, reason: Eviction) {
        self.connections_evicted.get_or_create(&EvictionLabels { reason }).inc();
    }

    pub(super) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub(super) fn request(&self) -> Held<'_> {
        Held::new(&self.requests_in_flight)
    }

    pub(super) fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshakes_failed.get_or_create(&HandshakeLabels { reason }).inc();
    }

    pub(super) fn rejected(&self, reason: Rejection) {
        self.requests_refused.get_or_create(&RejectionLabels { reason }).inc();
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    /// Creates every series before its first event, because a series that appears with it shows no increase.
    fn start_at_zero(&self) {
        for reason in Eviction::ALL {
            drop(self.connections_evicted.get_or_create(&EvictionLabels { reason }));
        }
        for reason in HandshakeFailure::ALL {
            drop(self.handshakes_failed.get_or_create(&HandshakeLabels { reason }));
        }
        for reason in Rejection::ALL {
            drop(self.requests_refused.get_or_create(&RejectionLabels { reason }));
        }
    }
}

/// A guard that adds one to a gauge until it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a Gauge);

impl<'a> Held<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
