//! Backoff: the pause after a failure, and whether to log the failure.

use std::time::Duration;

use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use tokio::time::Instant;

/// A failure that comes later than this after the previous one is logged again, and the pauses start over.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// The failures of one activity since its last success.
pub(super) struct Backoff<F> {
    pauses: DefaultBackoff,
    longest: Duration,
    last: Option<(Instant, F)>,
}

impl<F: PartialEq> Backoff<F> {
    /// Pauses start at about 1 s, double, and end at `longest`. All are jittered.
    pub(super) fn new(longest: Duration) -> Self {
        Self { pauses: DefaultBackoff::default(), longest, last: None }
    }

    /// Records a failure. Returns whether it differs from the last one, so that it should be logged.
    pub(super) fn fail(&mut self, failure: F) -> bool {
        let now = Instant::now();
        let is_news = self.last.as_ref().is_none_or(|(when, last)| {
            *last != failure || now.saturating_duration_since(*when) > FORGET_AFTER
        });
        self.last = Some((now, failure));
        is_news
    }

    /// Returns the pause before the next attempt.
    pub(super) fn pause(&mut self) -> Duration {
        self.pause_within(self.longest)
    }

    /// Returns the pause before the next attempt, if another maximum applies now.
    pub(super) fn pause_within(&mut self, longest: Duration) -> Duration {
        self.pauses.next().map_or(longest, |pause| pause.min(longest))
    }

    /// Resets the next pause to the shortest one.
    pub(super) fn restart(&mut self) {
        self.pauses.reset();
    }

    /// Records a success. Returns whether it ends a series of failures.
    pub(super) fn succeed(&mut self) -> bool {
        let had_failed = self.last.take().is_some();
        if had_failed {
            self.restart();
        }
        had_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn pauses_grow_up_to_the_longest_until_a_success() {
        let mut backoff = Backoff::new(LONGEST);
        backoff.fail("no");
        let pauses: Vec<Duration> = (0..50).map(|_| backoff.pause()).collect();
        assert!(pauses[2] > pauses[0], "{pauses:?}");
        assert_eq!(pauses.iter().max(), Some(&LONGEST));
        assert!(backoff.succeed());
        assert!(backoff.pause() < LONGEST / 2);
    }

    #[tokio::test]
    async fn a_failure_is_reported_once_and_again_after_a_success() {
        let mut backoff = Backoff::new(LONGEST);
        assert!(!backoff.succeed());
        assert!(backoff.fail("one"));
        assert!(!backoff.fail("one"));
        assert!(backoff.fail("other"));
        assert!(backoff.succeed());
        assert!(backoff.fail("other"));
    }
}
