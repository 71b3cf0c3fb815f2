//! What the server counts.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::refusal::Refusal;

/// What the server counts. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    connections: Counter,
    connections_open: Gauge,
    handshakes_failed: Family<HandshakeLabels, Counter>,
    requests_in_flight: Gauge,
    requests_refused: Family<RefusalLabels, Counter>,
    panics: Counter,
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HandshakeFailure {
    /// The client did not finish in time.
    Timeout,
    /// The client went away.
    Disconnect,
    /// The client refused, most often because it does not trust the certificate.
    Alert,
    /// The client does not speak TLS, or none that is served.
    Protocol,
    /// The client must show a certificate, and has shown none or a wrong one.
    Caller,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: HandshakeFailure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: Refusal,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            connections: Counter::default(),
            connections_open: Gauge::default(),
            handshakes_failed: Family::default(),
            requests_in_flight: Gauge::default(),
            requests_refused: Family::default(),
            panics: Counter::default(),
        };
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// Registers everything; the names carry no prefix of their own.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections accepted", self.connections.clone());
        registry.register("connections_open", "Connections open now", self.connections_open.clone());
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed, by reason; alert: the client refused, most often the certificate; caller: the client's own was refused",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests between their head and their answer",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests answered by the server itself, by reason; busy and memory: shed because of load",
            self.requests_refused.clone(),
        );
        registry.register("handler_panics", "Reviews that failed on a defect", self.panics.clone());
    }

    pub(super) fn connection(&self) -> Held<'_> {
        self.connections.inc();
        Held::new(&self.connections_open)
    }

    pub(super) fn request(&self) -> Held<'_> {
        Held::new(&self.requests_in_flight)
    }

    pub(super) fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshakes_failed.get_or_create(&HandshakeLabels { reason }).inc();
    }

    pub(super) fn refused(&self, reason: Refusal) {
        self.requests_refused.get_or_create(&RefusalLabels { reason }).inc();
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    /// A series that appears with its first event has no rate at that event.
    fn start_at_zero(&self) {
        use HandshakeFailure::{Alert, Caller, Disconnect, Protocol, Timeout};
        for reason in [Timeout, Disconnect, Alert, Protocol, Caller] {
            drop(self.handshakes_failed.get_or_create(&HandshakeLabels { reason }));
        }
        for reason in Refusal::ALL {
            drop(self.requests_refused.get_or_create(&RefusalLabels { reason }));
        }
    }
}

/// One more on a gauge, until it is dropped.
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
