//! Integers or percentages, as Kubernetes writes limits of unavailable pods.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A number of pods, or a percentage of them (apimachinery `intstr.IntOrString`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntOrPercent {
    /// A number of pods.
    Int(u32),
    /// A percentage of the pods.
    Percent(u32),
}

/// The rounding of a percentage to a number of pods. Each controller has its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the next smaller number.
    Down,
    /// To the next larger number.
    Up,
}

impl IntOrPercent {
    /// The number of pods out of `total` (apimachinery `intstr.GetScaledValueFromIntOrPercent`).
    #[must_use]
    pub fn of(self, total: u32, rounding: Rounding) -> u32 {
        match self {
            Self::Int(number) => number,
            Self::Percent(percent) => {
                let hundredfold = u64::from(percent).saturating_mul(u64::from(total));
                let scaled = match rounding {
                    Rounding::Down => hundredfold / 100,
                    Rounding::Up => hundredfold.div_ceil(100),
                };
                u32::try_from(scaled).unwrap_or(u32::MAX)
            }
        }
    }
}

/// Displays as in a manifest: `1` or `25%`.
impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = IntOrPercent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of pods, or a percentage such as `25%`")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<IntOrPercent, E> {
                let held = u32::try_from(number).map(IntOrPercent::Int);
                held.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<IntOrPercent, E> {
                let held = u32::try_from(number).map(IntOrPercent::Int);
                held.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<IntOrPercent, E> {
                let digits =
                    text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                let percent = digits.and_then(|digits| digits.parse().ok()).map(IntOrPercent::Percent);
                percent.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decode(value: Value) -> Result<IntOrPercent, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_percentage_is_rounded_in_the_direction_that_the_controller_takes() {
        for (percent, total, down, up) in [
            (25, 1, 0, 1),
            (25, 3, 0, 1),
            (25, 4, 1, 1),
            (50, 3, 1, 2),
            (100, 3, 3, 3),
            (0, 3, 0, 0),
            (1, 0, 0, 0),
        ] {
            let held = IntOrPercent::Percent(percent);
            assert_eq!(
                (held.of(total, Rounding::Down), held.of(total, Rounding::Up)),
                (down, up),
                "{held} of {total}"
            );
        }
        assert_eq!(IntOrPercent::Int(5).of(3, Rounding::Down), 5);
        assert_eq!(IntOrPercent::Percent(u32::MAX).of(u32::MAX, Rounding::Up), u32::MAX);
    }

    #[test]
    fn a_number_or_a_percentage_is_decoded_and_nothing_else() {
        assert_eq!(decode(json!(2)), Ok(IntOrPercent::Int(2)));
        assert_eq!(decode(json!("25%")), Ok(IntOrPercent::Percent(25)));
        for refused in
            [json!("2"), json!("%"), json!("-1%"), json!("+1%"), json!(-1), json!(1.5), json!("9999999999%")]
        {
            let error = decode(refused.clone()).expect_err("refused");
            assert!(error.contains("a number of pods, or a percentage"), "{refused}: {error}");
        }
    }
}
