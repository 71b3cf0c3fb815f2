//! Durations on the command line, as Kubernetes writes them: `500ms`, `90s`, `2m`, `1h30m`. A plain number is in seconds.

use std::time::Duration;

use k8s_openapi::jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};

/// Parses a duration.
///
/// # Errors
/// A sentence with the accepted forms, for any other text, including negative durations.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    SpanParser::new().parse_unsigned_duration(text).map_err(|_| {
        "expected a duration such as `500ms`, `90s`, `2m` or `1h30m`; a plain number is in seconds".to_owned()
    })
}

/// Returns a parser that also rejects durations shorter than `least`.
pub(super) fn at_least(least: Duration) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match parse(text)? {
        short if short < least => Err(format!("expected {} or longer", show(least))),
        duration => Ok(duration),
    }
}

/// Formats a duration in the form that [`parse`] accepts, for defaults in help texts.
pub(super) fn show(duration: Duration) -> String {
    let printer = SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::None);
    printer.unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_plain_numbers_are_seconds() {
        for (text, milliseconds, shown) in [
            ("120", 120_000, "2m"),
            ("500ms", 500, "500ms"),
            ("90s", 90_000, "1m30s"),
            ("2m", 120_000, "2m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1.5s", 1500, "1s500ms"),
            ("31536000", 31_536_000_000, "8760h"),
            ("0", 0, "0s"),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse(text).unwrap(), duration, "{text}");
            assert_eq!(show(duration), shown);
            assert_eq!(parse(shown).unwrap(), duration, "{shown}");
        }
    }

    #[test]
    fn anything_else_is_rejected_with_the_forms_that_are_accepted() {
        for text in ["", "-1", "-5s", "5 minutes ago", "1.5", "7x", "2m 3", "99999999999999999999", "1d"] {
            assert!(parse(text).unwrap_err().contains("`2m`"), "{text}");
        }
    }

    #[test]
    fn a_duration_below_the_minimum_is_rejected_with_the_minimum() {
        let parse = at_least(Duration::from_secs(10));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("9999ms").unwrap_err(), "expected 10s or longer");
    }
}
