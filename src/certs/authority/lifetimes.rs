//! How long things last.

use std::time::Duration;

use thiserror::Error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long certificates are valid, and how long their news takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a CA is valid. Its successor is prepared when a third of it is left.
    pub ca: Duration,
    /// How long a leaf is valid, if its CA is valid for as long. It is renewed when a third of it is left.
    pub leaf: Duration,
    /// From "every webhook configuration was read back with the next CA in it" to the first leaf of that CA. No
    /// API server tells when it has seen a change, so this must be longer than the slowest one takes.
    pub propagation: Duration,
}

/// Lifetimes that cannot be kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LifetimesError {
    /// Nothing is valid for no time.
    #[error("`{0}` must not be 0; give a number of seconds")]
    Zero(&'static str),
    /// A rotation would not end before the CA does.
    #[error(
        "`--ca-propagation` must be shorter than a third of `--ca-lifetime`, the time that a rotation has"
    )]
    Propagation,
}

impl Default for Lifetimes {
    /// A year, a week, and five minutes.
    fn default() -> Self {
        Self {
            ca: DAY.saturating_mul(365),
            leaf: DAY.saturating_mul(7),
            propagation: Duration::from_secs(5 * 60),
        }
    }
}

impl Lifetimes {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// Says which one is wrong.
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

    /// How long a CA that signs no more stays trusted: by then the last leaf of it has expired, also that of a
    /// replica that heard of the change as late as can be.
    pub(super) fn retirement(&self) -> Duration {
        self.leaf.saturating_add(self.propagation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_kept_and_an_old_ca_is_trusted_for_a_day_at_least() {
        let lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.check(), Ok(()));
        assert!(lifetimes.retirement() >= DAY);
    }

    #[test]
    fn lifetimes_that_cannot_be_kept_are_named() {
        let fine = Lifetimes::default();
        let cases = [
            (
                Lifetimes { ca: Duration::ZERO, ..fine },
                "`--ca-lifetime` must not be 0; give a number of seconds",
            ),
            (
                Lifetimes { leaf: Duration::ZERO, ..fine },
                "`--leaf-lifetime` must not be 0; give a number of seconds",
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
