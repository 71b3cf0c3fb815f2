//! Debouncing: updates are collected in batches, so that many changes at once lead to few snapshots.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::store::{Update, WatchId};

/// The minimum pause between two snapshots. People do not notice it, and a rollout that changes an object every
/// millisecond leads to 10 snapshots a second instead of 1,000.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// The ratio of the pause to the time for building the last snapshot: building takes at most a fifth of one core.
const PAUSE_PER_COST: u32 = 4;

/// The updates of all watches, in batches.
#[derive(Debug)]
pub(super) struct Debounce {
    updates: mpsc::Receiver<(WatchId, Update)>,
    paused_until: Option<Instant>,
    batch: Vec<(WatchId, Update)>,
}

impl Debounce {
    pub(super) fn new(updates: mpsc::Receiver<(WatchId, Update)>) -> Self {
        Self { updates, paused_until: None, batch: Vec::new() }
    }

    /// Starts the pause after a snapshot that took `cost` to build.
    pub(super) fn pause(&mut self, cost: Duration) {
        let pause = cost.saturating_mul(PAUSE_PER_COST).max(SHORTEST_PAUSE);
        self.paused_until = Instant::now().checked_add(pause);
    }

    /// Returns the next batch: at least one update, and all that arrive until the pause is over. After a quiet time, a
    /// single update is returned at once.
    ///
    /// The call is cancel-safe: updates that it has taken are returned by the next call.
    pub(super) async fn next(&mut self) -> Vec<(WatchId, Update)> {
        while self.batch.is_empty() {
            // The senders live as long as the watches, so this waits if there is no update.
            let waiting = self.updates.len().max(1);
            self.updates.recv_many(&mut self.batch, waiting).await;
        }
        if let Some(end) = self.paused_until {
            while let Ok(Some(update)) = timeout_at(end, self.updates.recv()).await {
                self.batch.push(update);
            }
            self.paused_until = None;
        }
        // Only the updates that are queued now are taken: with a steady stream, the loop would never end.
        for _ in 0..self.updates.len() {
            self.batch.extend(self.updates.try_recv());
        }
        std::mem::take(&mut self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::*;

    fn debounce() -> (mpsc::Sender<(WatchId, Update)>, Debounce) {
        let (sender, updates) = mpsc::channel(1024);
        (sender, Debounce::new(updates))
    }

    fn send(sender: &mpsc::Sender<(WatchId, Update)>, count: usize) {
        for _ in 0..count {
            sender.try_send((WatchId(1), Update::Failed(Failure::Missing))).unwrap();
        }
    }

    #[tokio::test]
    async fn updates_that_wait_are_returned_at_once() {
        let (sender, mut debounce) = debounce();
        send(&sender, 500);
        assert_eq!(debounce.next().await.len(), 500);
        send(&sender, 1);
        assert_eq!(debounce.next().await.len(), 1);
    }

    #[tokio::test]
    async fn updates_during_the_pause_are_one_batch() {
        let (sender, mut debounce) = debounce();
        debounce.pause(Duration::ZERO);
        let start = Instant::now();
        send(&sender, 1);
        let late = tokio::spawn(async move {
            tokio::time::sleep(SHORTEST_PAUSE / 4).await;
            send(&sender, 9);
            sender
        });
        assert_eq!(debounce.next().await.len(), 10);
        assert!(start.elapsed() >= SHORTEST_PAUSE);

        let sender = late.await.unwrap();
        send(&sender, 1);
        assert_eq!(debounce.next().await.len(), 1);
    }

    #[tokio::test]
    async fn no_update_is_lost_when_the_future_is_dropped() {
        let (sender, mut debounce) = debounce();
        debounce.pause(Duration::ZERO);
        send(&sender, 3);
        let given_up = tokio::time::timeout(SHORTEST_PAUSE / 4, debounce.next());
        assert!(given_up.await.is_err());
        send(&sender, 1);
        assert_eq!(debounce.next().await.len(), 4);
    }

    #[tokio::test]
    async fn an_expensive_snapshot_is_followed_by_a_longer_pause() {
        let (sender, mut debounce) = debounce();
        debounce.pause(SHORTEST_PAUSE);
        let start = Instant::now();
        send(&sender, 1);
        debounce.next().await;
        assert!(start.elapsed() >= SHORTEST_PAUSE * PAUSE_PER_COST);
    }
}
