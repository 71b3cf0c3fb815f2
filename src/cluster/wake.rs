//! What a task waits for that has nothing to do: the next value of a channel, or a time.

use std::future::pending;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Waits for the next value; forever if there can be none.
pub(super) async fn next_value<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Waits until `wake`; forever if it is `None`.
pub(super) async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => pending().await,
    }
}
