//! The HTTPS server of the webhook, with the admin port and the metrics port beside it.
//!
//! [`Server`] is the configuration, [`BoundServer`] holds the ports, and [`BoundServer::run`] serves until [`Shutdown`]
//! stops it. Every error of the configuration is found before the first connection is accepted.
//!
//! Invariant: this module handles calls and replies as bytes. It has no Kubernetes objects and no rules; the
//! [`Handler`] interprets a call.
//!
//! A connection: `connections` accepts it, and `connection_table` gives it a place or closes it. `https` does the TLS
//! handshake under a deadline and serves HTTP/1.1 or HTTP/2, as negotiated by ALPN.
//!
//! A request: `reviews` checks path, method and content type, lets `body` read the body (limited in bytes, in time, in
//! its rate, and in the bytes of all connections together), and calls the handler; a heavy call waits for its turn in
//! `heavy`. The answer is charged until it is written. A request that is rejected because of load gets `503` with
//! `Retry-After`, and the API server retries the call within the webhook's timeout. Any other rejection fails the
//! user's request.

mod admin;
mod body;
mod connection_table;
mod connections;
mod exposition;
mod handler;
mod heavy;
mod https;
mod lifecycle;
mod limits;
mod metrics;
mod peer;
mod rejection;
mod reviews;

pub use admin::Admin;
pub use handler::{Authentication, Call, Caller, ContentType, Handled, Handler, Reply, StatusCode};
pub use lifecycle::Shutdown;
pub use limits::{Limits, LimitsError};
pub use metrics::ServerMetrics;

use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use admin::AdminService;
use connection_table::{ConnectionTable, Shares};
use connections::{Accepted, Acceptor};
use https::HttpsService;
use lifecycle::{Stage, StageSender};
use reviews::Reviews;

/// A configured server, which has not bound its ports yet.
pub struct Server {
    /// The address of the HTTPS port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The TLS configuration. A new value applies to connections that are accepted later, not to open ones.
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    /// The handler of the calls.
    pub handler: Arc<dyn Handler>,
    /// The admin port.
    pub admin: Admin,
    /// The limits of the HTTPS port.
    pub limits: Limits,
    /// The metrics that the server updates.
    pub metrics: ServerMetrics,
}

/// The error of a server that cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// A limit is invalid.
    #[error("the limits of the server cannot be kept")]
    Limits(#[from] LimitsError),
    /// The HTTPS port cannot be bound.
    #[error("`--listen` `{address}` cannot be bound; choose an address of this machine and a free port")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The admin port cannot be bound.
    #[error(
        "`--admin-listen` `{address}` cannot be bound; choose an address of this machine and a free port"
    )]
    AdminListen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The metrics port cannot be bound.
    #[error(
        "`--metrics-listen` `{address}` cannot be bound; choose an address of this machine and a free port"
    )]
    MetricsListen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A server that has bound its ports. The kernel queues connections; none is accepted yet.
#[derive(Debug)]
pub struct BoundServer {
    server: Server,
    https: TcpListener,
    admin: TcpListener,
    metrics: Option<TcpListener>,
    local_addr: SocketAddr,
    admin_addr: SocketAddr,
    metrics_addr: SocketAddr,
}

/// The error of a server that stopped by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// A listener stopped accepting connections.
    #[error("the {listener} listener stopped unexpectedly")]
    ListenerStopped {
        /// The listener.
        listener: Listener,
    },
    /// A listener panicked.
    #[error("a listener panicked")]
    ListenerPanicked(#[source] JoinError),
}

/// One of the server's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The HTTPS port for calls.
    Webhook,
    /// The plain port for probes.
    Admin,
    /// The plain port for metrics.
    Metrics,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Webhook => "webhook",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        })
    }
}

impl Server {
    /// Checks the limits and binds the ports.
    ///
    /// # Errors
    /// An invalid limit, or a port that cannot be bound.
    pub async fn bind(self) -> Result<BoundServer, BindError> {
        self.limits.check()?;
        let address = self.listen;
        let (https, local_addr) = listen(address).map_err(|source| BindError::Listen { address, source })?;
        let address = self.admin.listen;
        let (admin, admin_addr) =
            listen(address).map_err(|source| BindError::AdminListen { address, source })?;
        let (metrics, metrics_addr) = match self.admin.metrics_listen {
            Some(address) => {
                let bound = listen(address).map_err(|source| BindError::MetricsListen { address, source })?;
                (Some(bound.0), bound.1)
            }
            None => (None, admin_addr),
        };
        Ok(BoundServer { server: self, https, admin, metrics, local_addr, admin_addr, metrics_addr })
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A replica that restarts takes the port although connections of the one before it linger.
    socket.set_reuseaddr(true)?;
    // Connections inherit the sizes. Without them, the kernel keeps megabytes for a client that does not read.
    socket.set_send_buffer_size(limits::SEND_BUFFER)?;
    socket.set_recv_buffer_size(limits::RECEIVE_BUFFER)?;
    socket.bind(address)?;
    let listener = socket.listen(limits::BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, tls: _, handler: _, admin, limits, metrics: _ } = self;
        f.debug_struct("Server")
            .field("listen", listen)
            .field("admin", admin)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}

impl BoundServer {
    /// The address of the HTTPS port, with the actual port number.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of the admin port, with the actual port number.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// The address of the port that serves metrics, with the actual port number.
    #[must_use]
    pub const fn metrics_addr(&self) -> SocketAddr {
        self.metrics_addr
    }

    /// Serves until `shutdown` stops it, and returns after every task has ended.
    ///
    /// Dropping the returned future aborts the server.
    ///
    /// # Errors
    /// A listener that stopped by itself.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { server, https, admin, metrics: metrics_port, local_addr, admin_addr, metrics_addr } = self;
        info!(webhook = %local_addr, admin = %admin_addr, metrics = %metrics_addr, "serving");
        let Server { listen: _, tls, handler, admin: endpoints, limits, metrics } = server;
        let (https_port, admin_port) = (Port::new(), Port::new());
        let mut listeners = JoinSet::new();

        let (probes, scrapes) =
            AdminService::new(endpoints, https_port.stage.subscribe(), &admin_port.stage.subscribe());
        let ports = [(Listener::Admin, Some(admin), probes), (Listener::Metrics, metrics_port, scrapes)];
        for (listener, socket, service) in ports {
            let Some(socket) = socket else { continue };
            let service = Arc::new(service);
            let acceptor = Acceptor::new(socket, ConnectionTable::new(admin::SHARES, None));
            let serve = move |accepted| Arc::clone(&service).serve(accepted);
            listeners.spawn(admin_port.listen(listener, acceptor, serve));
        }

        let reviews = Reviews::new(handler, limits.clone(), metrics.clone());
        let (stage, tasks) = (https_port.stage.subscribe(), https_port.connections.clone());
        let table = ConnectionTable::new(Shares::from(&limits), Some(metrics.clone()));
        let service = Arc::new(HttpsService::new(tls, reviews, limits.clone(), metrics, stage, tasks));
        let acceptor = Acceptor::new(https, table);
        let serve = move |accepted| Arc::clone(&service).serve(accepted);
        listeners.spawn(https_port.listen(Listener::Webhook, acceptor, serve));

        let outcome = tokio::select! {
            biased;
            () = shutdown.abort.cancelled() => {
                warn!(connections = https_port.connections.len(), "aborting: closing open connections");
                Ok(())
            }
            error = stopped(&mut listeners, &https_port) => Err(error),
            () = https_port.drain(&shutdown.drain, &limits) => Ok(()),
        };
        https_port.stage.enter(Stage::Aborted);
        admin_port.stage.enter(Stage::Aborted);
        // The listeners are stopped first, because they start the tasks of connections.
        listeners.shutdown().await;
        https_port.closed().await;
        admin_port.closed().await;
        outcome
    }
}

/// One of the two ports while it is served, with its stage and the tasks of its connections.
struct Port {
    stage: StageSender,
    connections: TaskTracker,
}

impl Port {
    fn new() -> Self {
        Self { stage: StageSender::new(), connections: TaskTracker::new() }
    }

    /// Accepts connections until the port closes.
    fn listen<F>(
        &self,
        listener: Listener,
        acceptor: Acceptor,
        serve: impl Fn(Accepted) -> F + Send + 'static,
    ) -> impl Future<Output = Listener> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let accept = acceptor.run(self.stage.subscribe(), self.connections.clone(), serve);
        async move {
            accept.await;
            listener
        }
    }

    /// Waits until the server is to stop, then drains and closes.
    async fn drain(&self, stop: &CancellationToken, limits: &Limits) {
        stop.cancelled().await;
        self.stage.enter(Stage::Draining);
        info!(drain = ?limits.drain, "draining: not ready, still serving");
        sleep(limits.drain).await;
        self.stage.enter(Stage::Closing);
        if timeout(limits.grace, self.closed()).await.is_err() {
            warn!(connections = self.connections.len(), "grace period ended: closing open connections");
        }
    }

    /// Waits until the last connection has closed.
    async fn closed(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

/// Waits for a listener that stops unexpectedly: the admin listener must never stop, the HTTPS listener only when it
/// closes.
async fn stopped(listeners: &mut JoinSet<Listener>, https: &Port) -> RunError {
    loop {
        match listeners.join_next().await {
            Some(Ok(Listener::Webhook)) if https.stage.has_reached(Stage::Closing) => {}
            Some(Ok(listener)) => return RunError::ListenerStopped { listener },
            Some(Err(panic)) => return RunError::ListenerPanicked(panic),
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Ephemeral, server_config};
    use std::future::ready;

    struct Unavailable;

    impl Handler for Unavailable {
        fn handle(&self, call: Call<'_>) -> Handled {
            Handled::Reply(self.handle_heavy(call))
        }

        fn handle_heavy(&self, _call: Call<'_>) -> Reply {
            Reply::unavailable("this handler answers nothing")
        }
    }

    fn server(listen: SocketAddr, admin: SocketAddr) -> Server {
        let certificate = Ephemeral::generate(&[]).unwrap().certificate;
        let (_, tls) = watch::channel(server_config(&certificate).unwrap());
        Server {
            listen,
            tls,
            handler: Arc::new(Unavailable),
            admin: Admin {
                listen: admin,
                metrics_listen: None,
                ready: Box::new(|| Ok(())),
                metrics: Box::new(String::new),
            },
            limits: Limits::default(),
            metrics: ServerMetrics::default(),
        }
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn port_0_reports_the_port_that_was_bound() {
        let bound = server(any_port(), any_port()).bind().await.unwrap();
        assert!(bound.local_addr().port() > 0 && bound.admin_addr().port() > 0);
        assert_ne!(bound.local_addr(), bound.admin_addr());
    }

    #[tokio::test]
    async fn a_port_in_use_is_reported_with_its_flag() {
        let holder = TcpListener::bind(any_port()).await.unwrap();
        let taken = holder.local_addr().unwrap();
        for (server, flag) in
            [(server(taken, any_port()), "--listen"), (server(any_port(), taken), "--admin-listen")]
        {
            let error = server.bind().await.unwrap_err().to_string();
            let rest = "cannot be bound; choose an address of this machine and a free port";
            assert_eq!(error, format!("`{flag}` `{taken}` {rest}"));
        }
    }

    #[tokio::test]
    async fn limits_are_checked_before_a_port_is_bound() {
        let holder = TcpListener::bind(any_port()).await.unwrap();
        let mut server = server(holder.local_addr().unwrap(), any_port());
        server.limits.connections = 0;
        assert!(matches!(server.bind().await, Err(BindError::Limits(_))));
    }

    #[tokio::test]
    async fn a_listener_that_stops_by_itself_is_an_error() {
        for listener in [Listener::Webhook, Listener::Admin, Listener::Metrics] {
            let mut listeners = JoinSet::new();
            listeners.spawn(ready(listener));
            let error = stopped(&mut listeners, &Port::new()).await;
            assert_eq!(error.to_string(), format!("the {listener} listener stopped unexpectedly"));
        }
    }

    #[tokio::test]
    async fn a_listener_that_panics_is_an_error() {
        let mut listeners = JoinSet::new();
        listeners.spawn(async { panic!("on purpose") });
        let error = stopped(&mut listeners, &Port::new()).await;
        assert!(matches!(error, RunError::ListenerPanicked(_)));
    }

    #[tokio::test]
    async fn a_listener_that_stops_because_its_port_closes_is_no_error() {
        let https = Port::new();
        https.stage.enter(Stage::Closing);
        let mut listeners = JoinSet::new();
        listeners.spawn(ready(Listener::Webhook));
        listeners.spawn(ready(Listener::Admin));
        let error = stopped(&mut listeners, &https).await;
        assert!(matches!(error, RunError::ListenerStopped { listener: Listener::Admin }));
    }
}
