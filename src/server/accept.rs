//! The accept loop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::stage::{Follow, Stage};

/// The pause after an error that the next `accept` would most likely meet again, such as a lack of file
/// descriptors: without it the loop would take a core for itself.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket, and how many connections of it may be open.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that came in.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Its place; the next connection may come in when it is dropped.
    pub(super) place: OwnedSemaphorePermit,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, connections: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)) }
    }

    /// Accepts connections until `stage` is closing, and has each served by a task of its own.
    pub(super) async fn admit<F>(self, mut stage: Follow, tasks: TaskTracker, serve: impl Fn(Accepted) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let next = tokio::select! {
                biased;
                () = stage.reached(Stage::Closing) => return,
                next = self.next() => next,
            };
            // The semaphore is never closed.
            let Ok(accepted) = next else { return };
            drop(tasks.spawn(serve(accepted)));
        }
    }

    /// The place comes first: a connection that has none waits in the kernel's queue, where it costs nothing.
    async fn next(&self) -> Result<Accepted, AcquireError> {
        let place = Arc::clone(&self.places).acquire_owned().await?;
        let (stream, peer) = self.accept().await;
        Ok(Accepted { stream, peer, place })
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut failed = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Answers are written at once and whole; there is nothing to wait for.
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%peer, %error, "connection keeps its delay");
                    }
                    return (stream, peer);
                }
                Err(error) if concerns_the_peer(&error) => {
                    debug!(%error, "connection lost before it was accepted");
                }
                Err(error) => {
                    if !failed {
                        warn!(%error, "connections cannot be accepted; trying on");
                    }
                    failed = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn concerns_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_connection_without_a_place_stays_in_the_kernels_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::new(listener, 1);
        let _clients =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let _first = acceptor.next().await.unwrap();
        assert!(timeout(Duration::from_millis(50), acceptor.next()).await.is_err());
        timeout(Duration::from_secs(10), acceptor.accept())
            .await
            .expect("nobody has taken it out of the queue");
    }
}
