//! A TCP balancer: what a Service is to its pods.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes each connection on to the next backend. It ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Balancer {
    /// `127.0.0.1:port`.
    pub address: String,
    backends: Arc<Backends>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Backends {
    addresses: Mutex<Vec<String>>,
    next: AtomicUsize,
}

impl Balancer {
    /// Listens on a free port. New connections are closed at once while there is no backend.
    pub async fn start(backends: impl IntoIterator<Item = String>) -> Self {
        Self::start_with_delay(backends, Duration::ZERO).await
    }

    /// The same over a long line: what backends answer arrives this much later. A client then needs more
    /// connections for as many calls.
    pub async fn start_with_delay(backends: impl IntoIterator<Item = String>, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Backends::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), delay));
        let balancer = Self { address, backends: shared, task };
        balancer.set(backends);
        balancer
    }

    /// Where new connections go from now on. Open ones stay where they are, as with kube-proxy.
    pub fn set(&self, backends: impl IntoIterator<Item = String>) {
        *self.backends.addresses.lock().unwrap() = backends.into_iter().collect();
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backends {
    /// Round robin. A backend that refuses the connection is passed over, as a node without a route would be.
    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = self.addresses.lock().unwrap().clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = io::ErrorKind::ConnectionRefused.into();
        for offset in 0..addresses.len() {
            match TcpStream::connect(&addresses[(first + offset) % addresses.len()]).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn accept(listener: TcpListener, backends: Arc<Backends>, delay: Duration) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let backends = Arc::clone(&backends);
        connections.spawn(async move {
            // A connection that breaks is the business of those at its ends.
            let _ = pass(client, &backends, delay).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut client: TcpStream, backends: &Backends, delay: Duration) -> io::Result<()> {
    let mut backend = backends.connect().await?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    let ((from_client, to_client), (from_backend, to_backend)) = (client.split(), backend.split());
    tokio::try_join!(
        forward(from_client, to_backend, Duration::ZERO),
        forward(from_backend, to_client, delay)
    )?;
    Ok(())
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut bytes).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..length]).await?;
    }
}
