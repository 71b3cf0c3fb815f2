//! A token bucket: a few actions in a row, and one more after each period.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket, full at its beginning.
#[derive(Debug)]
pub(super) struct TokenBucket {
    burst: u32,
    period: Duration,
    tokens: u32,
    /// The time since which the next token is on its way.
    since: Instant,
}

impl TokenBucket {
    /// A bucket that holds `burst` tokens, and gets one more after each period.
    pub(super) const fn new(burst: u32, period: Duration, now: Instant) -> Self {
        Self { burst, period, tokens: burst, since: now }
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let is_left = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        is_left
    }

    /// The time at which there is a token: now, or later.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        if self.tokens > 0 { now } else { self.since.checked_add(self.period).unwrap_or(now) }
    }

    /// Whether no token is missing.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens == self.burst
    }

    fn refill(&mut self, now: Instant) {
        while self.tokens < self.burst
            && let Some(next) = self.since.checked_add(self.period)
            && next <= now
        {
            (self.tokens, self.since) = (self.tokens.saturating_add(1), next);
        }
        if self.tokens == self.burst {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_a_burst_and_one_more_after_each_period() {
        let (start, period) = (Instant::now(), Duration::from_secs(10));
        let mut bucket = TokenBucket::new(2, period, start);
        assert!(bucket.is_full(start));
        assert_eq!([bucket.take(start), bucket.take(start), bucket.take(start)], [true, true, false]);
        assert_eq!(bucket.ready_at(start), start + period);
        let later = start + period + Duration::from_secs(1);
        assert_eq!(bucket.ready_at(later), later);
        assert_eq!([bucket.take(later), bucket.take(later)], [true, false]);
        assert_eq!(bucket.ready_at(later), start + period * 2);
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(start + period * 100));
        assert_eq!(bucket.tokens, 2);
    }
}
