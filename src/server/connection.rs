//! One connection, from its first byte of HTTP to its end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::stage::{Follow, Stage};

/// How long a connection that has expired may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a connection may go without a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From its start to the first one.
    pub(super) first_request: Duration,
    /// From the start of one to the start of the next, give or take as much again.
    pub(super) idle: Duration,
}

/// Counts a connection's requests, so that one without any can be told.
#[derive(Debug)]
pub(super) struct Activity {
    requests: AtomicU64,
    patience: Patience,
}

impl Activity {
    pub(super) const fn new(patience: Patience) -> Self {
        let requests = AtomicU64::new(0);
        Self { requests, patience }
    }

    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until patience with this connection is at its end.
    ///
    /// hyper limits the idle time of HTTP/1.1 only, and not at all the time a client takes to read its
    /// answers; this holds for both protocols and needs one timer per connection, none per request.
    async fn ceases(&self) {
        let mut seen = 0;
        sleep(self.patience.first_request).await;
        loop {
            let requests = self.requests.load(Ordering::Relaxed);
            if requests == seen {
                return;
            }
            seen = requests;
            sleep(self.patience.idle).await;
        }
    }
}

/// Runs a connection to its end: its own, that of patience with it, or that of the server.
///
/// `close` asks it to finish what it has begun and nothing more.
pub(super) async fn drive<C>(
    connection: C,
    close: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    mut stage: Follow,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let expired = tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = activity.ceases() => true,
        () = stage.reached(Stage::Closing) => false,
    };
    close(connection.as_mut());
    let last = async {
        tokio::select! {
            biased;
            ended = connection => ended,
            () = stage.reached(Stage::Cut) => Ok(()),
        }
    };
    if expired { timeout(FAREWELL, last).await.unwrap_or(Ok(())) } else { last.await }
}
