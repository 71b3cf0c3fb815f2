//! A running server with a handler that tests control by the body of a call.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lockstep::server::{
    Admin, Call, Handled, Handler, Limits, Reply, RunError, Server, ServerMetrics, Shutdown, StatusCode,
};
use lockstep::tls::{Ephemeral, server_config};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, block_in_place};
use tokio_rustls::client::TlsStream;

use super::client::{Answer, Client, Trust, handshake_from, soon};

/// Waits, panics, or returns an error if the body says so; echoes any other body. A body that begins with `heavy` is a
/// heavy call, and for the body `behind` the handler lags behind until it learns something.
#[derive(Debug)]
pub(super) struct TestHandler {
    entered: Semaphore,
    leave: Semaphore,
    has_learnt: watch::Sender<bool>,
}

impl TestHandler {
    /// Waits until the handler has received a call with the body `wait`.
    pub(super) async fn entered(&self) {
        soon(self.entered.acquire()).await.unwrap().forget();
    }

    /// Lets the handler answer one such call.
    pub(super) fn release(&self) {
        self.leave.add_permits(1);
    }

    /// Gives the handler newer knowledge.
    pub(super) fn learn(&self) {
        self.has_learnt.send_replace(true);
    }
}

impl Handler for TestHandler {
    fn handle(&self, call: Call<'_>) -> Handled {
        match call.body {
            body if body.starts_with(b"heavy") => Handled::Heavy,
            b"behind" if !*self.has_learnt.borrow() => {
                self.entered.add_permits(1);
                Handled::Behind
            }
            _ => Handled::Reply(self.handle_heavy(call)),
        }
    }

    fn newer(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let mut has_learnt = self.has_learnt.subscribe();
        Box::pin(async move { has_learnt.wait_for(|it| *it).await.is_ok() })
    }

    fn handle_heavy(&self, call: Call<'_>) -> Reply {
        match call.body {
            b"wait" | b"heavy wait" => {
                self.entered.add_permits(1);
                block_in_place(|| Handle::current().block_on(soon(self.leave.acquire()))).unwrap().forget();
                Reply::json(b"waited".to_vec())
            }
            b"panic" | b"heavy panic" => panic!("as requested"),
            b"unavailable" => Reply::unavailable("as requested"),
            b"teapot" => Reply::text(StatusCode::IM_A_TEAPOT, "short and stout"),
            body => Reply::json([call.phase.path().as_bytes(), b" ", body].concat()),
        }
    }
}

/// A running server.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) trust: Trust,
    pub(super) handler: Arc<TestHandler>,
    pub(super) shutdown: Shutdown,
    pub(super) readiness: watch::Sender<Result<(), String>>,
    registry: Arc<Registry>,
    run: JoinHandle<Result<(), RunError>>,
}

/// Returns the default limits without a drain, which would delay the end of each test.
pub(super) fn limits() -> Limits {
    Limits { drain: Duration::ZERO, ..Limits::default() }
}

impl TestServer {
    pub(super) async fn start(limits: Limits) -> Self {
        let Ephemeral { certificate, ca_pem } = Ephemeral::generate(&[]).unwrap();
        let (_, tls) = watch::channel(server_config(&certificate).unwrap());
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
        Self::with(limits, tls, Trust::in_authorities([ca]), Registry::default()).await
    }

    pub(super) async fn with(
        limits: Limits,
        tls: watch::Receiver<Arc<ServerConfig>>,
        trust: Trust,
        mut registry: Registry,
    ) -> Self {
        let metrics = ServerMetrics::default();
        metrics.register(&mut registry);
        let registry = Arc::new(registry);
        let exposed = Arc::clone(&registry);
        let (readiness, ready) = watch::channel(Ok(()));
        let handler = Arc::new(TestHandler {
            entered: Semaphore::new(0),
            leave: Semaphore::new(0),
            has_learnt: watch::Sender::new(false),
        });
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = Admin {
            listen,
            metrics_listen: None,
            ready: Box::new(move || ready.borrow().clone()),
            metrics: Box::new(move || expose(&exposed)),
        };
        let server =
            Server { listen, tls, handler: Arc::<TestHandler>::clone(&handler), admin, limits, metrics };
        let bound = server.bind().await.unwrap();
        let (address, admin) = (bound.local_addr(), bound.admin_addr());
        let shutdown = Shutdown::default();
        let run = tokio::spawn(bound.run(shutdown.clone()));
        Self { address, admin, trust, handler, shutdown, readiness, registry, run }
    }

    pub(super) async fn connect(&self) -> Client<TlsStream<TcpStream>> {
        self.try_connect().await.unwrap()
    }

    pub(super) async fn try_connect(&self) -> io::Result<Client<TlsStream<TcpStream>>> {
        Client::connect(self.address, &self.trust).await
    }

    /// Opens a connection from another address of the loopback network, as another peer.
    pub(super) async fn connect_from(&self, peer: Ipv4Addr) -> Client<TlsStream<TcpStream>> {
        let config = self.trust.config("http/1.1", rustls::ALL_VERSIONS);
        Client::over(handshake_from(peer, self.address, config).await.unwrap())
    }

    /// Sends one call over a new connection.
    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.connect().await.post(path, body).await.unwrap()
    }

    /// Sends one GET to the admin port.
    pub(super) async fn get_admin(&self, path: &str) -> Answer {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        Client::over(stream).get(path).await.unwrap()
    }

    /// Waits until the metrics have this line.
    pub(super) async fn has_metric(&self, line: &str) {
        soon(async {
            while !self.metrics().lines().any(|shown| shown == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(super) fn metrics(&self) -> String {
        expose(&self.registry)
    }

    /// Waits until the server has stopped.
    pub(super) async fn ended(self) -> Result<(), RunError> {
        soon(self.run).await.unwrap()
    }

    /// Drops the future that runs the server.
    pub(super) async fn drop_run(&mut self) {
        self.run.abort();
        assert!(soon(&mut self.run).await.unwrap_err().is_cancelled());
    }

    /// Stops the server, which must drain without an error.
    pub(super) async fn stop(self) {
        self.shutdown.drain.cancel();
        self.ended().await.unwrap();
    }
}

fn expose(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}
