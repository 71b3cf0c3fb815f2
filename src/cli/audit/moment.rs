//! Moments, as people write them.

use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A time, a day (UTC), or how long ago.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text, Timestamp::now()).ok_or_else(|| {
        "write a time such as `2026-11-22T20:00:00Z`, a day such as `2026-11-22` (UTC), or how long ago it was, such as `90m`"
            .to_owned()
    })
}

fn parse_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(date) = text.parse::<Date>() {
        return date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    let ago: SignedDuration = text.parse().ok()?;
    now.checked_sub(ago).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_durations_are_moments() {
        let now: Timestamp = "2026-11-22T20:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-11-22T20:00:00.5+01:00", "2026-11-22T19:00:00.5Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("90m", "2026-11-22T18:30:00Z"),
            ("24h", "2026-11-21T20:00:00Z"),
        ] {
            assert_eq!(parse_at(text, now), Some(moment.parse().unwrap()), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "20:00"] {
            assert_eq!(parse_at(wrong, now), None, "{wrong}");
        }
    }
}
