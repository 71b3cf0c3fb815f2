//! TCP connections: accepting them under a limit, and closing them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{interval, sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection_table::{Connection, ConnectionTable, Registration};
use super::lifecycle::{Stage, StageReceiver};

/// The pause after `accept` failed for a lasting reason, such as a lack of file descriptors. Without it, the loop
/// would use a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The time limit for closing a connection that has timed out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval at which connections with unread answers are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// A listening socket with the table of its open connections.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    table: Arc<ConnectionTable>,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// The place of the connection.
    pub(super) registration: Registration,
}

impl Acceptor {
    pub(super) const fn new(listener: TcpListener, table: Arc<ConnectionTable>) -> Self {
        Self { listener, table }
    }

    /// Accepts connections until `stage` is closing. Each connection is served in its own task.
    pub(super) async fn run<F>(
        self,
        mut stage: StageReceiver,
        tasks: TaskTracker,
        serve: impl Fn(Accepted) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut sweep = interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                () = stage.reached(Stage::Closing) => return,
                _ = sweep.tick() => self.table.sweep(),
                accepted = self.next() => drop(tasks.spawn(serve(accepted))),
            }
        }
    }

    /// Waits for a connection that gets a place. Every connection is accepted at once, because the kernel's queue serves
    /// those who come first, whoever they are.
    async fn next(&self) -> Accepted {
        loop {
            let (stream, peer) = self.accept().await;
            match self.table.register(peer) {
                Some(registration) => return Accepted { stream, peer, registration },
                None => debug!(%peer, "connection refused: all places are taken"),
            }
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut failed = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Each response is written as a whole, so delaying it would gain nothing.
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%peer, %error, "setting TCP_NODELAY failed");
                    }
                    return (stream, peer);
                }
                Err(error) if concerns_one_connection(&error) => {
                    debug!(%error, "connection closed before it was accepted");
                }
                Err(error) => {
                    if !failed {
                        warn!(%error, "accepting connections failed; retrying");
                    }
                    failed = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The time that a connection may pass without a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleTimeouts {
    /// The time from the start of the connection to the first request.
    pub(super) first_request: Duration,
    /// The time from one request to the next. The check runs once per interval, so up to twice as long may pass.
    pub(super) between_requests: Duration,
}

/// The requests of one connection, which determine whether it is idle.
#[derive(Debug)]
pub(super) struct Activity {
    requests: AtomicU64,
    close: Notify,
    timeouts: IdleTimeouts,
}

impl Activity {
    pub(super) fn new(timeouts: IdleTimeouts) -> Self {
        Self { requests: AtomicU64::new(0), close: Notify::new(), timeouts }
    }

    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the connection after its open requests have been answered.
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Waits until the connection has been idle for too long.
    ///
    /// hyper limits only the idle time of HTTP/1.1, and never the time that a client takes to read a response. This
    /// limits both for both protocols, with one timer per connection and none per request.
    async fn idle(&self) {
        let mut seen = 0;
        sleep(self.timeouts.first_request).await;
        loop {
            let requests = self.requests.load(Ordering::Relaxed);
            if requests == seen {
                return;
            }
            seen = requests;
            sleep(self.timeouts.between_requests).await;
        }
    }
}

/// Serves a connection until it ends, is idle for too long, is closed by `close`, or the server closes.
///
/// `close` lets it finish its requests and accept no more.
pub(super) async fn drive<C>(
    connection: C,
    close: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    registered: &Connection,
    mut stage: StageReceiver,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let time_to_close = tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = registered.evicted() => return Ok(()),
        () = activity.idle() => CLOSE_TIMEOUT,
        () = activity.close.notified() => activity.timeouts.between_requests,
        () = stage.reached(Stage::Closing) => activity.timeouts.between_requests,
    };
    close(connection.as_mut());
    tokio::select! {
        biased;
        ended = timeout(time_to_close, connection) => ended.unwrap_or(Ok(())),
        () = registered.evicted() => Ok(()),
        () = stage.reached(Stage::Aborted) => Ok(()),
    }
}
