//! Points in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

/// A point in time by the system's clock, since 1970. As a `Duration` it can be reckoned with and never panics.
pub type Moment = Duration;

/// How far the clocks of replicas and of API servers may be apart: what is signed now is valid from this long
/// ago.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// What the system's clock shows.
#[must_use]
pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// For a certificate; `None` beyond what the system can tell.
pub(super) fn system_time(moment: Moment) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(moment)
}

/// As RFC 3339, for people who read the Secret.
pub(super) fn write(moment: Moment) -> String {
    let seconds = i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    let nanoseconds = i32::try_from(moment.subsec_nanos()).unwrap_or_default();
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX).to_string()
}

/// `None` for what is no RFC 3339 timestamp, or before 1970.
pub(super) fn read(text: &str) -> Option<Moment> {
    let timestamp: Timestamp = text.trim().parse().ok()?;
    SystemTime::from(timestamp).duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for moment in [Duration::ZERO, Duration::from_millis(1_795_374_000_250)] {
            assert_eq!(read(&write(moment)), Some(moment));
        }
        assert_eq!(write(Duration::from_secs(1_795_374_000)), "2026-11-22T19:00:00Z");
        assert_eq!(read("2026-11-22T20:00:00+01:00\n"), Some(Duration::from_secs(1_795_374_000)));
    }

    #[test]
    fn nonsense_is_no_moment() {
        for text in ["", "yesterday", "2026-11-22", "1969-01-01T00:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read(&write(Duration::MAX)).is_some(), "the end of time is written as the last moment");
    }
}
