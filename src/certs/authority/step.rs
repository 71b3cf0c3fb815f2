//! What to do next. Level-triggered: it follows from what is there now, never from what was done before.

use std::time::Duration;

use super::ca::CaError;
use super::lifetimes::Lifetimes;
use super::moment::Moment;
use super::state::{Authority, Next, Old};

/// What one replica knows when it decides.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What stands in the Secret.
    pub stored: Option<&'a Authority>,
    /// What stood there when this replica last looked.
    pub remembered: Option<&'a Authority>,
    /// What this replica's clock shows. Clocks of replicas may differ.
    pub now: Moment,
    /// For how long this replica has seen the Secret as it is and every webhook configuration with all of its
    /// CAs, counted by a clock that is never set. `None` while a configuration lacks one.
    pub settled: Option<Duration>,
}

/// A change of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the first CA.
    Generate,
    /// Write back what was there, which nobody should have removed.
    Restore,
    /// Make the CA that comes next.
    PrepareNext,
    /// Note that every webhook configuration has the next CA.
    MarkPublished,
    /// Let the next CA sign.
    Promote,
    /// Trust the CA before no longer.
    DropOld,
}

/// What to do, and when to decide again if nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The change to make, if any.
    pub step: Option<Step>,
    /// How long nothing is due.
    pub again: Duration,
}

/// Decides what to do next.
#[must_use]
pub fn decide(view: &View<'_>, lifetimes: &Lifetimes) -> Decision {
    match view.stored {
        None => Decision::take(view.first()),
        Some(stored) => {
            let rotation = view.rotation(stored, lifetimes);
            let retirement = stored.old.as_ref().map(|old| view.retirement(old, lifetimes));
            retirement.map_or(rotation, |retirement| retirement.or(rotation))
        }
    }
}

impl Step {
    /// What stands in the Secret after it.
    ///
    /// # Errors
    /// A new CA cannot be made.
    pub fn outcome(self, view: &View<'_>, lifetimes: &Lifetimes) -> Result<Authority, CaError> {
        let known = view.stored.or(view.remembered);
        let Some(known) = known.filter(|_| self != Self::Generate) else {
            return Authority::generate(lifetimes, view.now);
        };
        Ok(match self {
            Self::Generate | Self::Restore => known.clone(),
            Self::PrepareNext => known.with_next(lifetimes, view.now)?,
            Self::MarkPublished => known.with_next_published(view.now),
            Self::Promote => known.promoted(view.now),
            Self::DropOld => known.without_old(),
        })
    }
}

impl Decision {
    const fn take(step: Step) -> Self {
        Self { step: Some(step), again: Duration::ZERO }
    }

    const fn wait(again: Duration) -> Self {
        Self { step: None, again }
    }

    /// The first step of the two, or the earlier moment.
    fn or(self, other: Self) -> Self {
        if self.step.is_some() {
            return self;
        }
        Self { step: other.step, again: self.again.min(other.again) }
    }
}

impl View<'_> {
    /// The Secret is empty. Somebody may have wiped it, as a re-applied manifest does: leaves of the CA that was
    /// there are being served, so a new one would break every call until it is known everywhere.
    fn first(&self) -> Step {
        match self.remembered {
            Some(remembered) if !self.has_come(remembered.current.certificate().not_after()) => Step::Restore,
            _ => Step::Generate,
        }
    }

    fn rotation(&self, stored: &Authority, lifetimes: &Lifetimes) -> Decision {
        let current = stored.current.certificate();
        match &stored.next {
            None if stored.rotate || self.has_come(current.due()) => Decision::take(Step::PrepareNext),
            None => Decision::wait(self.until(current.due())),
            Some(next) if self.has_come(next.ca.certificate().not_after()) => {
                Decision::take(Step::PrepareNext)
            }
            Some(next) => self.promotion(stored, next, lifetimes),
        }
    }

    /// The wait for everybody to learn of the next CA is counted by this replica's own steady clock: a replica
    /// whose clock is ahead would take the wait for over.
    fn promotion(&self, stored: &Authority, next: &Next, lifetimes: &Lifetimes) -> Decision {
        let Some(settled) = self.settled else { return Decision::wait(Duration::MAX) };
        if next.published_at.is_none() {
            return Decision::take(Step::MarkPublished);
        }
        // No leaf of the current CA is valid any more, so there is nothing that a wait could save.
        let has_expired = self.has_come(stored.current.certificate().not_after());
        // It takes the old CA's place.
        let has_room = stored.old.is_none();
        match lifetimes.propagation.saturating_sub(settled) {
            _ if has_expired => Decision::take(Step::Promote),
            Duration::ZERO if has_room => Decision::take(Step::Promote),
            Duration::ZERO => Decision::wait(Duration::MAX),
            rest => Decision::wait(rest.min(self.until(stored.current.certificate().not_after()))),
        }
    }

    /// The old CA goes when the last leaf of it has expired, either by the clock, or because this replica has
    /// seen that much time pass. The clock alone is not enough: it may be ahead.
    fn retirement(&self, old: &Old, lifetimes: &Lifetimes) -> Decision {
        let Some(settled) = self.settled else { return Decision::wait(Duration::MAX) };
        let expiry = old.retired_at.saturating_add(lifetimes.retirement()).min(old.certificate.not_after());
        let by_the_clock = self.until(expiry).max(lifetimes.propagation.saturating_sub(settled));
        let rest = lifetimes.retirement().saturating_sub(settled).min(by_the_clock);
        if rest.is_zero() { Decision::take(Step::DropOld) } else { Decision::wait(rest) }
    }

    fn has_come(&self, moment: Moment) -> bool {
        self.now >= moment
    }

    fn until(&self, moment: Moment) -> Duration {
        moment.saturating_sub(self.now)
    }
}

#[cfg(test)]
mod tests;
