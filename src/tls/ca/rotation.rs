//! The next step of a rotation, as a pure function of the current stored and observed state.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::ca_set::{CaSet, NextCa, OldCa};
use super::certificate::CaError;
use super::lifetimes::Lifetimes;
use super::time::{between, later};

/// The inputs of a decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation<'a> {
    /// The CAs in the Secret.
    pub(super) stored: Option<&'a CaSet>,
    /// The CAs that this replica last read from the Secret.
    pub(super) remembered: Option<&'a CaSet>,
    /// The time of this replica's clock. The clocks of replicas may differ.
    pub(super) now: Timestamp,
    /// The time for which this replica has seen the Secret and the webhook configurations unchanged, with all CAs of the Secret
    /// in each configuration, by a monotonic clock. `None` while a configuration lacks a CA.
    pub(super) settled: Option<Duration>,
}

/// A change of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Generate the first CA.
    Generate,
    /// Restore the CAs that another client has removed.
    Restore,
    /// Generate the next CA.
    PrepareNext,
    /// Record that every webhook configuration has the next CA.
    MarkPublished,
    /// Let the next CA sign.
    Promote,
    /// Stop trusting the previous CA.
    DropOld,
}

/// The step to take now, if any, and the time until the next decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// The change to make.
    pub(super) step: Option<Step>,
    /// The time until a step is due, unless something changes; zero if there is a step.
    pub(super) wait: Duration,
}

/// Decides the next step.
#[must_use]
pub(super) fn decide(observation: &Observation<'_>, lifetimes: &Lifetimes) -> Decision {
    match observation.stored {
        None => Decision::take(observation.first()),
        Some(stored) => {
            let rotation = observation.rotation(stored, lifetimes);
            let retirement = stored.old.as_ref().map(|old| observation.retirement(old, lifetimes));
            retirement.map_or(rotation, |retirement| retirement.or(rotation))
        }
    }
}

impl Step {
    /// Returns the CAs in the Secret after this step.
    ///
    /// # Errors
    /// If a new CA cannot be generated.
    pub(super) fn apply(
        self,
        observation: &Observation<'_>,
        lifetimes: &Lifetimes,
    ) -> Result<CaSet, CaError> {
        let known = observation.stored.or(observation.remembered);
        let Some(known) = known.filter(|_| self != Self::Generate) else {
            return CaSet::generate(lifetimes, observation.now);
        };
        Ok(match self {
            Self::Generate | Self::Restore => known.clone(),
            Self::PrepareNext => known.with_next(lifetimes, observation.now)?,
            Self::MarkPublished => known.with_next_published(observation.now),
            Self::Promote => known.promoted(observation.now),
            Self::DropOld => known.without_old(),
        })
    }
}

impl Decision {
    const fn take(step: Step) -> Self {
        Self { step: Some(step), wait: Duration::ZERO }
    }

    const fn wait(wait: Duration) -> Self {
        Self { step: None, wait }
    }

    /// Returns the first of the two steps, or the shorter wait.
    fn or(self, other: Self) -> Self {
        if self.step.is_some() {
            return self;
        }
        Self { step: other.step, wait: self.wait.min(other.wait) }
    }
}

impl Observation<'_> {
    /// The step for an empty Secret. If a client has emptied it, for example by applying its manifest again,
    /// certificates of the remembered CA are still served, and a new CA would make every call fail until all clients
    /// trust it.
    fn first(&self) -> Step {
        match self.remembered {
            Some(remembered) if !self.is_past(remembered.current.certificate().not_after()) => Step::Restore,
            _ => Step::Generate,
        }
    }

    fn rotation(&self, stored: &CaSet, lifetimes: &Lifetimes) -> Decision {
        let current = stored.current.certificate();
        match &stored.next {
            None if stored.rotate || self.is_past(current.due()) => Decision::take(Step::PrepareNext),
            None => Decision::wait(between(self.now, current.due())),
            Some(next) if self.is_past(next.ca.certificate().not_after()) => {
                Decision::take(Step::PrepareNext)
            }
            Some(next) => self.promotion(stored, next, lifetimes),
        }
    }

    /// Decides the promotion of the next CA. The wait for API servers to see it is measured by the monotonic clock: a
    /// replica whose clock is ahead would end it too early.
    fn promotion(&self, stored: &CaSet, next: &NextCa, lifetimes: &Lifetimes) -> Decision {
        let Some(settled) = self.settled else { return Decision::wait(Duration::MAX) };
        if next.published_at.is_none() {
            return Decision::take(Step::MarkPublished);
        }
        let expiry = stored.current.certificate().not_after();
        let remaining = lifetimes.propagation.saturating_sub(settled);
        // If the current CA has expired, so have its leaves, and waiting would save no call.
        if self.is_past(expiry) {
            return Decision::take(Step::Promote);
        }
        // The current CA becomes the old one, so there must be no old one.
        match (remaining.is_zero(), &stored.old) {
            (true, None) => Decision::take(Step::Promote),
            (true, Some(_)) => Decision::wait(Duration::MAX),
            (false, _) => Decision::wait(remaining.min(between(self.now, expiry))),
        }
    }

    /// Decides the end of the old CA: the last leaf that it signed must have expired, by the clock or because this
    /// replica has observed that much time. The clock alone is not enough, because it may be ahead.
    fn retirement(&self, old: &OldCa, lifetimes: &Lifetimes) -> Decision {
        let Some(settled) = self.settled else { return Decision::wait(Duration::MAX) };
        let expiry = later(old.retired_at, lifetimes.retirement()).min(old.certificate.not_after());
        let by_clock = between(self.now, expiry).max(lifetimes.propagation.saturating_sub(settled));
        let wait = lifetimes.retirement().saturating_sub(settled).min(by_clock);
        if wait.is_zero() { Decision::take(Step::DropOld) } else { Decision::wait(wait) }
    }

    fn is_past(&self, timestamp: Timestamp) -> bool {
        self.now >= timestamp
    }
}

#[cfg(test)]
mod tests;
