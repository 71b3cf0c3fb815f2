//! The lifetimes of the CA and its certificates, and the wait of a rotation.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The lifetimes of certificates and the wait of a rotation. The default is a year for the CA, a week for a leaf and
/// five minutes for the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The lifetime of a CA. A rotation starts when a third of it is left.
    pub ca: Duration,
    /// The lifetime of a leaf, unless its CA expires first. It is renewed when a third of it is left.
    pub leaf: Duration,
    /// The time between the reading back of the next CA in every webhook configuration and its first signature. No API
    /// server reports when it has seen a change, so this must exceed the delay of the slowest one.
    pub propagation: Duration,
}

/// The error of lifetimes that contradict each other.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LifetimesError {
    /// A lifetime is zero.
    #[error("`{0}` must not be 0; give a duration such as `24h`")]
    Zero(&'static str),
    /// A rotation could not finish before the CA expires.
    #[error(
        "`--ca-propagation` must be shorter than a third of `--ca-lifetime`, the time that a rotation has"
    )]
    Propagation,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            ca: DAY.saturating_mul(365),
            leaf: DAY.saturating_mul(7),
            propagation: Duration::from_secs(5 * 60),
        }
    }
}

impl Lifetimes {
    /// Checks that a rotation can finish before the CA expires.
    ///
    /// # Errors
    /// If a lifetime is zero, or the wait is too long.
    pub fn check(&self) -> Result<(), LifetimesError> {
        for (flag, lifetime) in [("--ca-lifetime", self.ca), ("--leaf-lifetime", self.leaf)] {
            if lifetime.is_zero() {
                return Err(LifetimesError::Zero(flag));
            }
        }
        if self.propagation.saturating_mul(3) >= self.ca {
            return Err(LifetimesError::Propagation);
        }
        Ok(())
    }

    /// The time for which a replaced CA stays trusted. After it, the last leaf that the CA signed has expired, even on
    /// a replica that saw the replacement late.
    pub(super) fn retirement(&self) -> Duration {
        self.leaf.saturating_add(self.propagation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_trust_an_old_ca_for_at_least_a_day() {
        let lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.check(), Ok(()));
        assert!(lifetimes.retirement() >= DAY);
    }

    #[test]
    fn each_invalid_lifetime_has_its_own_message() {
        let fine = Lifetimes::default();
        let cases = [
            (
                Lifetimes { ca: Duration::ZERO, ..fine },
                "`--ca-lifetime` must not be 0; give a duration such as `24h`",
            ),
            (
                Lifetimes { leaf: Duration::ZERO, ..fine },
                "`--leaf-lifetime` must not be 0; give a duration such as `24h`",
            ),
            (
                Lifetimes { ca: Duration::from_secs(900), ..fine },
                "`--ca-propagation` must be shorter than a third of `--ca-lifetime`, the time that a rotation has",
            ),
        ];
        for (lifetimes, sentence) in cases {
            assert_eq!(lifetimes.check().unwrap_err().to_string(), sentence);
        }
    }
}
