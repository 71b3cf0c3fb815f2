//! HTTPS connections: the TLS handshake, then HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, Version, rt};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::connection_table::Connection;
use super::connections::{Accepted, Activity, IdleTimeouts, drive};
use super::handler::{Authentication, CLOSE};
use super::lifecycle::{Stage, StageReceiver};
use super::limits::Limits;
use super::metrics::{HandshakeFailure, ServerMetrics};
use super::reviews::{Reviews, Sender};

/// The interval of HTTP/2 pings, and the time limit for their answers. An unreachable peer is noticed after both.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after which a client whose handshake failed is assumed to have sent its request.
const PAUSE: Duration = Duration::from_millis(100);

/// The maximum wait for that pause, and then for the client to read why its handshake failed.
const LINGER: Duration = Duration::from_secs(2);

/// The stream of a handshake, which holds back alerts: rustls writes them without a flush, while all other writes are
/// longer and pass through.
type HandshakeStream = BufWriter<TcpStream>;

/// The maximum size of an alert: a record header, two bytes, and the overhead of encryption in any supported cipher
/// suite.
const ALERT_BYTES: usize = 64;

/// The service of the HTTPS port.
pub(super) struct HttpsService {
    tls: watch::Receiver<Arc<ServerConfig>>,
    reviews: Reviews,
    http1: http1::Builder,
    http2: http2::Builder<TrackedExecutor>,
    limits: Limits,
    metrics: ServerMetrics,
    stage: StageReceiver,
}

impl HttpsService {
    pub(super) fn new(
        tls: watch::Receiver<Arc<ServerConfig>>,
        reviews: Reviews,
        limits: Limits,
        metrics: ServerMetrics,
        stage: StageReceiver,
        tasks: TaskTracker,
    ) -> Self {
        let (http1, http2) = (http1(&limits), http2(&limits, tasks));
        Self { tls, reviews, http1, http2, limits, metrics, stage }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, registration } = accepted;
        let _open = self.metrics.connection();
        let mut stage = self.stage.clone();
        let handshake = tokio::select! {
            biased;
            handshake = self.handshake(stream, registration.connection()) => handshake,
            () = registration.connection().evicted() => return,
            () = stage.reached(Stage::Closing) => return,
        };
        let outcome = match handshake {
            Ok(stream) => self.serve_http(stream, registration.connection()).await,
            Err(error) => {
                debug!(%peer, %error, "tls handshake failed");
                return;
            }
        };
        if let Err(error) = outcome {
            debug!(%peer, %error, "connection failed");
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        connection: &Connection,
    ) -> io::Result<TlsStream<HandshakeStream>> {
        let stream = BufWriter::with_capacity(ALERT_BYTES, stream);
        let (error, stream) = match timeout(self.limits.handshake, self.negotiate(stream, connection)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err((error, stream))) => (error, stream),
            Err(_elapsed) => (io::ErrorKind::TimedOut.into(), None),
        };
        let failure = classify(&error);
        self.metrics.handshake_failed(failure);
        if let Some(stream) = stream
            && failure.sends_alert()
        {
            self.explain(stream).await;
        }
        Err(error)
    }

    /// Negotiates TLS. The stream is returned with the error, so that the client can still be told the reason.
    async fn negotiate(
        &self,
        stream: HandshakeStream,
        connection: &Connection,
    ) -> Result<TlsStream<HandshakeStream>, (io::Error, Option<HandshakeStream>)> {
        let mut hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let started = match (&mut hello).await {
            Ok(started) => started,
            Err(error) => return Err((error, hello.take_io())),
        };
        let accept = {
            // The signature takes most of the time of a handshake. It is made here, at once, not while the client is
            // waited for.
            let _turn = connection.turn_to_sign().await;
            // The configuration is read for each connection, so that a reload reaches every new connection and no open
            // one.
            let config = Arc::clone(&self.tls.borrow());
            started.into_stream(config)
        };
        accept.into_fallible().await.map_err(|(error, stream)| (error, Some(stream)))
    }

    /// Sends the alert with the reason why the handshake failed, and closes the connection so that the client reads
    /// it.
    ///
    /// A TLS 1.3 client finishes its handshake and sends its request before the server has seen the client's
    /// certificate. If the alert arrived while the client writes, Go would report that its own connection is closed.
    /// If the server closed the socket with unread bytes, the kernel would reset the connection, and the client would
    /// report `broken pipe`. So the server reads until the client pauses, sends the alert and FIN, and reads what
    /// still arrives. All of it is at most one request, and takes a bounded time.
    async fn explain(&self, stream: HandshakeStream) {
        let most = self.limits.body_bytes.saturating_add(self.limits.header_bytes);
        let mut stream = stream.take(u64::try_from(most).unwrap_or(u64::MAX));
        let mut unread = [0; 1024];
        let until_pause = async { while let Ok(Ok(1..)) = timeout(PAUSE, stream.read(&mut unread)).await {} };
        // The alert is sent in any case.
        let _ = timeout(LINGER, until_pause).await;
        let until_closed = async {
            stream.get_mut().shutdown().await?;
            copy(&mut stream, &mut sink()).await
        };
        // The connection is closed in any case.
        let _ = timeout(LINGER, until_closed).await;
    }

    /// Serves the protocol that ALPN negotiated. The server does not guess it from the bytes: a client without ALPN
    /// gets HTTP/1.1.
    async fn serve_http(
        self: &Arc<Self>,
        stream: TlsStream<HandshakeStream>,
        registered: &Arc<Connection>,
    ) -> hyper::Result<()> {
        registered.touch();
        let activity = Arc::new(Activity::new(self.idle_timeouts()));
        // Certificates are asked for only with a client CA, and verified during the handshake.
        let authentication = match stream.get_ref().1.peer_certificates() {
            Some([_, ..]) => Authentication::ClientCertificate,
            _ => Authentication::None,
        };
        let sender = Arc::new(Sender { authentication, connection: Arc::clone(registered) });
        let stage = self.stage.clone();
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let service = service_fn(|request| {
            activity.request();
            Arc::clone(self).respond(request, Arc::clone(&sender), Arc::clone(&activity))
        });
        if is_http2 {
            let connection = self.http2.serve_connection(io, service);
            drive(connection, http2::Connection::graceful_shutdown, &activity, registered, stage).await
        } else {
            let connection = self.http1.serve_connection(io, service);
            drive(connection, http1::Connection::graceful_shutdown, &activity, registered, stage).await
        }
    }

    fn idle_timeouts(&self) -> IdleTimeouts {
        let Limits { first_request, idle, body, .. } = self.limits;
        // A connection that waits for the body of a request starts no other request, but is not idle.
        IdleTimeouts { first_request, between_requests: idle.saturating_add(body) }
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        sender: Arc<Sender>,
        connection: Arc<Activity>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let _in_flight = self.metrics.request();
        let version = request.version();
        let mut response = self.reviews.respond(request, &sender).await;
        if self.stage.has_reached(Stage::Draining) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        // HTTP/2 has no such header: a GOAWAY frame closes the connection.
        if version == Version::HTTP_2 && response.headers_mut().remove(CONNECTION).is_some() {
            connection.close();
        }
        Ok(response)
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer, hyper silently applies no timeout.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(limits.header_bytes);
    builder
}

fn http2(limits: &Limits, tasks: TaskTracker) -> http2::Builder<TrackedExecutor> {
    let mut builder = http2::Builder::new(TrackedExecutor(tasks));
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams);
    builder
}

/// An executor for hyper's tasks, one per HTTP/2 request. The server waits for them when it stops.
#[derive(Debug, Clone)]
struct TrackedExecutor(TaskTracker);

impl<F> rt::Executor<F> for TrackedExecutor
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
