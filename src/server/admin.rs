//! The admin port and the metrics port: plain HTTP for the kubelet's probes and for Prometheus.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::Service;
use tracing::debug;

use super::connection_table::Shares;
use super::connections::{Accepted, Activity, IdleTimeouts, drive};
use super::exposition::Format;
use super::handler::ContentType;
use super::lifecycle::{Stage, StageReceiver};

/// What the connections of each of these ports share: two probes and a few scrapers have one connection each at a time.
/// Requests have no body, so bytes are not counted.
pub(super) const SHARES: Shares = Shares {
    places: 64,
    bytes: usize::MAX >> 3,
    settled: Duration::from_secs(1),
    unread: Duration::from_secs(10),
    // The port has no handshakes.
    signatures: 1,
    records: (1, 1),
};

/// The time limit for the head of a request, and between two requests. The kubelet uses a connection once, and Go
/// retries a GET on a closed connection, so idle connections need not be kept.
const IDLE: Duration = Duration::from_secs(5);

/// The smallest buffer that hyper accepts. These requests have no body.
const HEADER_BYTES: usize = 8 << 10;

/// The admin port, the metrics port, and their contents.
pub struct Admin {
    /// The address for probes. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address for metrics; `None` serves them beside the probes.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether reviews can be answered. The error is the sentence in the response of [`Admin::READYZ`] with status
    /// 503.
    ///
    /// The server calls it once per probe. A draining server is not ready, whatever this returns.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The text of [`Admin::METRICS`], in the `OpenMetrics` format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl Admin {
    /// The path of the liveness probe.
    pub const LIVEZ: &str = "/livez";
    /// The path of the readiness probe.
    pub const READYZ: &str = "/readyz";
    /// The path of the metrics.
    pub const METRICS: &str = "/metrics";
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, metrics_listen, ready: _, metrics: _ } = self;
        f.debug_struct("Admin")
            .field("listen", listen)
            .field("metrics_listen", metrics_listen)
            .finish_non_exhaustive()
    }
}

/// The service of the admin port.
#[derive(Debug)]
pub(super) struct AdminService {
    router: Router,
    stage: StageReceiver,
}

/// The state that the endpoints read.
struct AdminState {
    admin: Admin,
    https: StageReceiver,
}

impl AdminService {
    /// Creates the services of the admin port and of the metrics port. Readiness follows `https`, the stage of the HTTPS
    /// port. `stage` is that of these ports.
    pub(super) fn new(admin: Admin, https: StageReceiver, stage: &StageReceiver) -> (Self, Self) {
        let serves_metrics = admin.metrics_listen.is_none();
        let state = Arc::new(AdminState { admin, https });
        let metrics = Router::new().route(Admin::METRICS, get(metrics));
        let probes = Router::new().route(Admin::LIVEZ, get(livez)).route(Admin::READYZ, get(readyz));
        let probes = if serves_metrics { probes.merge(metrics.clone()) } else { probes };
        let service = |router: Router<Arc<AdminState>>| Self {
            router: router.with_state(Arc::clone(&state)),
            stage: stage.clone(),
        };
        (service(probes), service(metrics))
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, registration } = accepted;
        let activity = Activity::new(IdleTimeouts { first_request: IDLE, between_requests: IDLE });
        let service = service_fn(|request: Request<Incoming>| {
            activity.request();
            registration.connection().touch();
            self.router.clone().call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADER_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let stage = self.stage.clone();
        let registered = registration.connection();
        let outcome =
            drive(connection, http1::Connection::graceful_shutdown, &activity, registered, stage).await;
        if let Err(error) = outcome {
            debug!(%peer, %error, "admin connection failed");
        }
    }
}

async fn livez() -> impl IntoResponse {
    ([(CONTENT_TYPE, ContentType::Text.header())], "ok")
}

async fn readyz(State(state): State<Arc<AdminState>>) -> impl IntoResponse {
    let ready = if state.https.has_reached(Stage::Draining) {
        Err("the server is draining".to_owned())
    } else {
        (state.admin.ready)()
    };
    let (status, text) = match ready {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    (status, [(CONTENT_TYPE, ContentType::Text.header())], text)
}

async fn metrics(State(state): State<Arc<AdminState>>, headers: HeaderMap) -> impl IntoResponse {
    let format = Format::of(&headers);
    ([(CONTENT_TYPE, format.content_type())], format.write((state.admin.metrics)()))
}
