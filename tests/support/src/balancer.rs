//! A TCP load balancer, as a Service is to its pods.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards each connection to the next backend. Dropping it closes its connections.
#[derive(Debug)]
pub struct Balancer {
    /// The address, as `127.0.0.1:port`.
    pub address: String,
    backends: Arc<Backends>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Backends {
    addresses: Mutex<Vec<String>>,
    next: AtomicUsize,
    choice: Choice,
    tallies: Mutex<HashMap<String, Tally>>,
    frozen: watch::Sender<bool>,
}

/// The handling of a connection that its backend refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// The next backend gets the connection.
    Next,
    /// The connection is lost: kube-proxy does not retry on another backend.
    Lost,
}

/// Counts of the connections of one backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The open connections.
    pub open: usize,
    /// The connections that the backend refused, or that the backend could no longer accept.
    pub refused: usize,
}

/// An open connection, counted until it is dropped.
struct Open<'b> {
    backends: &'b Backends,
    address: String,
}

impl Balancer {
    /// Listens on a free port. Without backends, it closes new connections at once.
    pub async fn start(backends: impl IntoIterator<Item = String>) -> Self {
        Self::start_as(backends, Duration::ZERO, Choice::Next).await
    }

    /// Listens like a Service: a connection whose turn falls on a dead backend is lost.
    pub async fn start_as_service(backends: impl IntoIterator<Item = String>) -> Self {
        Self::start_as(backends, Duration::ZERO, Choice::Lost).await
    }

    /// Listens with a latency: responses of backends are delayed by `delay`, so a client needs more connections for
    /// the same rate.
    pub async fn start_with_delay(backends: impl IntoIterator<Item = String>, delay: Duration) -> Self {
        Self::start_as(backends, delay, Choice::Next).await
    }

    async fn start_as(backends: impl IntoIterator<Item = String>, delay: Duration, choice: Choice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Backends::new(choice));
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), delay));
        let balancer = Self { address, backends: shared, task };
        balancer.set(backends);
        balancer
    }

    /// Sets the backends of new connections. Open connections keep theirs, as with kube-proxy.
    pub fn set(&self, backends: impl IntoIterator<Item = String>) {
        *self.backends.addresses.lock().unwrap() = backends.into_iter().collect();
    }

    /// Returns the counts of a backend's connections.
    pub fn tally(&self, backend: &str) -> Tally {
        self.backends.tallies.lock().unwrap().get(backend).copied().unwrap_or_default()
    }

    /// Stops forwarding in both directions without closing connections, as a dead link does.
    pub fn freeze(&self) {
        self.backends.frozen.send_replace(true);
    }

    /// Forwards again, beginning with the bytes that were held back.
    pub fn thaw(&self) {
        self.backends.frozen.send_replace(false);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backends {
    fn new(choice: Choice) -> Self {
        Self {
            addresses: Mutex::default(),
            next: AtomicUsize::default(),
            choice,
            tallies: Mutex::default(),
            frozen: watch::Sender::new(false),
        }
    }

    /// Connects round robin. A backend that refuses may be skipped, as by a load balancer with health checks.
    async fn connect(&self) -> io::Result<(TcpStream, Open<'_>)> {
        let addresses = self.addresses.lock().unwrap().clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = io::ErrorKind::ConnectionRefused.into();
        for offset in 0..addresses.len() {
            let address = &addresses[(first + offset) % addresses.len()];
            let open = Open::count(self, address);
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, open)),
                Err(error) => last = error,
            }
            self.count(address, |tally| tally.refused += 1);
            if self.choice == Choice::Lost {
                break;
            }
        }
        Err(last)
    }

    fn count(&self, address: &str, change: impl FnOnce(&mut Tally)) {
        change(self.tallies.lock().unwrap().entry(address.to_owned()).or_default());
    }

    async fn until_thawed(&self) {
        let _ = self.frozen.subscribe().wait_for(|is_frozen| !is_frozen).await;
    }
}

impl<'b> Open<'b> {
    fn count(backends: &'b Backends, address: &str) -> Self {
        backends.count(address, |tally| tally.open += 1);
        Self { backends, address: address.to_owned() }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.backends.count(&self.address, |tally| tally.open -= 1);
    }
}

async fn accept(listener: TcpListener, backends: Arc<Backends>, delay: Duration) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let backends = Arc::clone(&backends);
        connections.spawn(async move {
            // The client and the backend notice a broken connection by themselves.
            let _ = pass(client, &backends, delay).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut client: TcpStream, backends: &Backends, delay: Duration) -> io::Result<()> {
    let (mut backend, _open) = backends.connect().await?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    let ((from_client, to_client), (from_backend, to_backend)) = (client.split(), backend.split());
    tokio::try_join!(
        forward(from_client, to_backend, Duration::ZERO, backends),
        forward(from_backend, to_client, delay, backends)
    )?;
    Ok(())
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    backends: &Backends,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut bytes).await?;
        backends.until_thawed().await;
        if length == 0 {
            return to.shutdown().await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..length]).await?;
    }
}
