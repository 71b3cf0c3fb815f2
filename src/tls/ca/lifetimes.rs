//! How long the CA and the certificates that it signs are valid, and how long a rotation waits.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The lifetimes of certificates and the wait of a rotation. The default is a year for the CA, a week for a leaf and
/// five minutes for the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a CA is valid. A rotation starts when a third of that is left.
    pub ca: Duration,
    /// How long a leaf is valid, unless its CA expires first. It is renewed when a third of that is left.
    pub leaf: Duration,
    /// How long a rotation waits after every webhook configuration was read back with the next CA, before that CA
    /// signs. No API server reports when it has seen a change, so this must exceed the delay of the slowest one.
    pub propagation: Duration,
}

/// The error for lifetimes that contradict each other.
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
    /// A lifetime is zero, or the wait is too long.
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

    /// How long a CA stays trusted after it has been replaced. By then the last leaf that it signed has expired, even on
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
