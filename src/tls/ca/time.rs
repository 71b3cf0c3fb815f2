//! Arithmetic on timestamps that saturates instead of failing: a lifetime that exceeds the calendar ends with it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The maximum difference between the clocks of replicas and API servers: a certificate is valid from this long before
/// it is signed.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

pub(super) fn later(start: Timestamp, duration: Duration) -> Timestamp {
    start.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

pub(super) fn earlier(end: Timestamp, duration: Duration) -> Timestamp {
    end.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}

/// Returns the time from `start` to `end`; zero if `end` is earlier.
pub(super) fn between(start: Timestamp, end: Timestamp) -> Duration {
    end.duration_since(start).try_into().unwrap_or_default()
}

/// Returns the renewal time of a certificate that is valid from `start` to `end`: when a third of that is left.
pub(super) fn renewal(start: Timestamp, end: Timestamp) -> Timestamp {
    earlier(end, between(start, end).checked_div(3).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_ends_at_the_limits_of_the_calendar() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(later(now, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(now, Duration::MAX), Timestamp::MIN);
        assert_eq!(between(later(now, CLOCK_SKEW), now), Duration::ZERO);
        assert_eq!(between(now, later(now, CLOCK_SKEW)), CLOCK_SKEW);
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_validity_is_left() {
        let start = Timestamp::UNIX_EPOCH;
        let [second, third] = [2, 3].map(|hours| later(start, CLOCK_SKEW * hours));
        assert_eq!(renewal(start, third), second);
    }
}
