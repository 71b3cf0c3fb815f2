//! Reports in batches, so that many changes at once make few snapshots.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::listing::Report;
use super::target::WatchId;

/// The least rest between two snapshots. A person does not notice it, and a rollout that changes an object a
/// millisecond makes ten snapshots a second instead of a thousand.
const REST: Duration = Duration::from_millis(100);

/// How much longer than a snapshot took to build the rest is: building takes a fifth of one core at most.
const REST_PER_COST: u32 = 4;

/// The reports of all watches.
#[derive(Debug)]
pub(super) struct Inbox {
    reports: mpsc::Receiver<(WatchId, Report)>,
    rest_until: Option<Instant>,
    batch: Vec<(WatchId, Report)>,
}

impl Inbox {
    pub(super) fn new(reports: mpsc::Receiver<(WatchId, Report)>) -> Self {
        Self { reports, rest_until: None, batch: Vec::new() }
    }

    /// Asks for a rest after a snapshot that took `cost` to build.
    pub(super) fn rest(&mut self, cost: Duration) {
        let rest = cost.saturating_mul(REST_PER_COST).max(REST);
        self.rest_until = Instant::now().checked_add(rest);
    }

    /// The next reports: those that are there once the rest is over, at least one. After a quiet time a single
    /// report is returned at once.
    ///
    /// It may be dropped and called again: what has come by then is kept for that.
    pub(super) async fn next(&mut self) -> Vec<(WatchId, Report)> {
        while self.batch.is_empty() {
            // The sender lives as long as the watches: without reports this waits.
            let waiting = self.reports.len().max(1);
            self.reports.recv_many(&mut self.batch, waiting).await;
        }
        if let Some(end) = self.rest_until {
            while let Ok(Some(report)) = timeout_at(end, self.reports.recv()).await {
                self.batch.push(report);
            }
            self.rest_until = None;
        }
        // No more than are here now: under a steady stream this must end.
        for _ in 0..self.reports.len() {
            self.batch.extend(self.reports.try_recv());
        }
        std::mem::take(&mut self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> (mpsc::Sender<(WatchId, Report)>, Inbox) {
        let (sender, reports) = mpsc::channel(1024);
        (sender, Inbox::new(reports))
    }

    fn send(sender: &mpsc::Sender<(WatchId, Report)>, count: usize) {
        for _ in 0..count {
            sender.try_send((WatchId(1), Report::Missing)).unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_there_comes_at_once() {
        let (sender, mut inbox) = inbox();
        send(&sender, 500);
        assert_eq!(inbox.next().await.len(), 500);
        send(&sender, 1);
        assert_eq!(inbox.next().await.len(), 1);
    }

    #[tokio::test]
    async fn what_comes_during_the_rest_is_one_batch() {
        let (sender, mut inbox) = inbox();
        inbox.rest(Duration::ZERO);
        let rested = Instant::now();
        send(&sender, 1);
        let late = tokio::spawn(async move {
            tokio::time::sleep(REST / 4).await;
            send(&sender, 9);
            sender
        });
        assert_eq!(inbox.next().await.len(), 10);
        assert!(rested.elapsed() >= REST);

        let sender = late.await.unwrap();
        send(&sender, 1);
        assert_eq!(inbox.next().await.len(), 1);
    }

    #[tokio::test]
    async fn nothing_is_lost_when_nobody_waits_to_the_end() {
        let (sender, mut inbox) = inbox();
        inbox.rest(Duration::ZERO);
        send(&sender, 3);
        let given_up = tokio::time::timeout(REST / 4, inbox.next());
        assert!(given_up.await.is_err());
        send(&sender, 1);
        assert_eq!(inbox.next().await.len(), 4);
    }

    #[tokio::test]
    async fn an_expensive_snapshot_is_followed_by_a_longer_rest() {
        let (sender, mut inbox) = inbox();
        inbox.rest(REST);
        let rested = Instant::now();
        send(&sender, 1);
        inbox.next().await;
        assert!(rested.elapsed() >= REST * REST_PER_COST);
    }
}
