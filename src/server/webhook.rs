//! The webhook's side: TLS, and requests of either protocol.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, rt};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::debug;

use super::accept::Accepted;
use super::answer::CLOSE;
use super::connection::{Activity, Patience, drive};
use super::limits::Limits;
use super::metrics::{HandshakeFailure, Metrics};
use super::stage::{Follow, Stage};

/// An HTTP/2 peer that is gone without a word is noticed after these two.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at once on one HTTP/2 connection; Go's server allows 250.
const STREAMS: u32 = 256;

/// What every connection of the webhook shares.
#[derive(Debug)]
pub(super) struct WebhookService {
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    http1: http1::Builder,
    http2: http2::Builder<Tracked>,
    limits: Limits,
    metrics: Metrics,
    stage: Follow,
}

impl WebhookService {
    pub(super) fn new(
        tls: watch::Receiver<Arc<ServerConfig>>,
        router: Router,
        limits: Limits,
        metrics: Metrics,
        stage: Follow,
        tasks: TaskTracker,
    ) -> Self {
        let (http1, http2) = (http1(&limits), http2(tasks));
        Self { tls, router, http1, http2, limits, metrics, stage }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, place: _place } = accepted;
        let _open = self.metrics.connection();
        let outcome = match self.handshake(stream).await {
            Some(Ok(stream)) => self.converse(stream).await,
            Some(Err(error)) => {
                self.metrics.handshake_failed(classify(&error));
                debug!(%peer, %error, "tls handshake failed");
                return;
            }
            None => return,
        };
        if let Err(error) = outcome {
            debug!(%peer, %error, "connection ended early");
        }
    }

    /// `None` if the server closes meanwhile.
    async fn handshake(&self, stream: TcpStream) -> Option<io::Result<TlsStream<TcpStream>>> {
        // Read anew for each connection, so that a reload reaches all new ones and no open one.
        let config = Arc::clone(&self.tls.borrow());
        let accept = TlsAcceptor::from(config).accept(stream);
        let mut stage = self.stage.clone();
        tokio::select! {
            biased;
            outcome = timeout(self.limits.handshake, accept) => {
                Some(outcome.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())))
            }
            () = stage.reached(Stage::Closing) => None,
        }
    }

    /// Speaks the protocol that ALPN settled on. Nothing is sniffed: a client without ALPN gets HTTP/1.1.
    async fn converse(self: &Arc<Self>, stream: TlsStream<TcpStream>) -> hyper::Result<()> {
        let activity = Activity::new(self.patience());
        let stage = self.stage.clone();
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let service = service_fn(|request| {
            activity.request();
            Arc::clone(self).answer(request)
        });
        if is_http2 {
            let connection = self.http2.serve_connection(io, service);
            drive(connection, http2::Connection::graceful_shutdown, &activity, stage).await
        } else {
            let connection = self.http1.serve_connection(io, service);
            drive(connection, http1::Connection::graceful_shutdown, &activity, stage).await
        }
    }

    fn patience(&self) -> Patience {
        let Limits { first_request, idle, body, .. } = self.limits;
        // A connection with a request under way starts no other one, and is not idle for that.
        Patience { first_request, idle: idle.saturating_add(body) }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response, Infallible> {
        let _in_flight = self.metrics.request();
        let mut response = self.router.clone().call(request).await?;
        if self.stage.has_reached(Stage::Draining) {
            // hyper leaves it out of HTTP/2, which ends connections by a frame of its own.
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        Ok(response)
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer hyper silently has no deadline at all.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(limits.header_bytes);
    builder
}

fn http2(tasks: TaskTracker) -> http2::Builder<Tracked> {
    let mut builder = http2::Builder::new(Tracked(tasks));
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS);
    builder
}

/// Has hyper's tasks, one per HTTP/2 request, waited for like all others.
#[derive(Debug, Clone)]
struct Tracked(TaskTracker);

impl<F> rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

fn classify(error: &io::Error) -> HandshakeFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(_)) => HandshakeFailure::Alert,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            HandshakeFailure::Caller
        }
        Some(_) => HandshakeFailure::Protocol,
        None if error.kind() == io::ErrorKind::TimedOut => HandshakeFailure::Timeout,
        None => HandshakeFailure::Disconnect,
    }
}
