//! The admin port: plain HTTP for the kubelet's probes and for Prometheus.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::Service;
use tracing::debug;

use super::accept::Accepted;
use super::answer::TEXT;
use super::connection::{Activity, Patience, drive};
use super::stage::{Follow, Stage};

/// Open connections: two probes and a few scrapers, each with one at a time.
pub(super) const CONNECTIONS: usize = 64;

/// For a request's head, and between two requests. Kubelet's probes use a connection once, and a scraper's
/// GET on a closed connection is repeated by Go, so there is no reason to keep idle ones.
const IDLE: Duration = Duration::from_secs(10);

/// The least that hyper takes; there is no body to read.
const HEADER_BYTES: usize = 8 << 10;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What the admin port answers with.
pub struct Admin {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether calls can be answered rightly, and if not, why not, as a sentence for `/readyz`.
    ///
    /// It is asked at every probe. While the server drains, the answer is "no" without asking.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The text of `/metrics`, in the `OpenMetrics` format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// What every connection of the admin port shares.
#[derive(Debug)]
pub(super) struct AdminService {
    router: Router,
    stage: Follow,
}

/// What is asked of the admin port.
struct AdminState {
    admin: Admin,
    webhook: Follow,
}

impl AdminService {
    /// `webhook` is the stage that readiness speaks of; `stage` is the admin port's own.
    pub(super) fn new(admin: Admin, webhook: Follow, stage: Follow) -> Self {
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(AdminState { admin, webhook }));
        Self { router, stage }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, place: _place } = accepted;
        let activity = Activity::new(Patience { first_request: IDLE, idle: IDLE });
        let service = service_fn(|request: Request<Incoming>| {
            activity.request();
            self.router.clone().call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADER_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let stage = self.stage.clone();
        let outcome = drive(connection, http1::Connection::graceful_shutdown, &activity, stage).await;
        if let Err(error) = outcome {
            debug!(%peer, %error, "admin connection ended early");
        }
    }
}

async fn livez() -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], "ok")
}

async fn readyz(State(state): State<Arc<AdminState>>) -> impl IntoResponse {
    let ready = if state.webhook.has_reached(Stage::Draining) {
        Err("the server is draining".to_owned())
    } else {
        (state.admin.ready)()
    };
    let (status, text) = match ready {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    (status, [(CONTENT_TYPE, TEXT)], text)
}

async fn metrics(State(state): State<Arc<AdminState>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], (state.admin.metrics)())
}
