//! The part of one replica in a rotation, without IO: its memory between passes, and the request that comes next.
//!
//! [`super::reconciler`] sends the requests, and passes on what they return. `replica/model.rs` checks this code in all orders of
//! requests, failures and clocks.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use super::ca_bundle::{Found, Revision};
use super::ca_set::CaSet;
use super::certificate::CaError;
use super::leaf::{Leaf, LeafError};
use super::lifetimes::Lifetimes;
use super::rotation::{Observation, Step, decide};
use super::time::between;

/// The pause between attempts to sign a certificate.
const SIGN_RETRY: Duration = Duration::from_secs(10);

/// The next action of a pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Make every webhook configuration trust this bundle in PEM, and compare again.
    Publish(String),
    /// Write these CAs onto the version of the Secret that was read. Whatever becomes of it, the next pass starts at once.
    Write(Step, CaSet),
    /// Start the next pass at once.
    Again,
    /// No step is due before this time has passed.
    Wait(Duration),
}

/// The memory of a replica between passes.
#[derive(Debug)]
pub(super) struct Replica {
    names: Vec<String>,
    lifetimes: Lifetimes,
    /// The CAs that the Secret held when it was last read with any.
    remembered: Option<CaSet>,
    settled: Settled,
    /// The serving certificate.
    leaf: Option<Leaf>,
    /// Whether the last attempt to sign succeeded, or nothing had to be signed.
    is_signed: bool,
    /// Whether every webhook configuration has trusted the serving certificate at least once.
    is_ready: bool,
}

impl Replica {
    pub(super) fn new(names: Vec<String>, lifetimes: Lifetimes) -> Self {
        Self {
            names,
            lifetimes,
            remembered: None,
            settled: Settled::default(),
            leaf: None,
            is_signed: false,
            is_ready: false,
        }
    }

    /// Starts a pass with what the Secret holds. [`Self::sign`] must follow, because the CA may have been replaced.
    ///
    /// # Errors
    /// If a CA is due and cannot be generated.
    pub(super) fn read(&mut self, stored: Option<&CaSet>, now: Timestamp) -> Result<Next, CaError> {
        let Some(cas) = stored else { return self.step(None, None, now) };
        if self.remembered.as_ref() != Some(cas) {
            self.remembered = Some(cas.clone());
        }
        Ok(Next::Publish(cas.bundle()))
    }

    /// Continues a pass after the webhook configurations were compared with the bundle; `found` is `None` if that failed.
    /// `instant` is the time of a monotonic clock.
    ///
    /// # Errors
    /// If a CA is due and cannot be generated.
    pub(super) fn compared(
        &mut self,
        found: Option<Found>,
        now: Timestamp,
        instant: Instant,
    ) -> Result<Next, CaError> {
        let (Some(cas), Some(Found::Complete(revision))) = (&self.remembered, found) else {
            self.settled.reset();
            return Ok(Next::Again);
        };
        let settled = self.settled.observe(cas, revision, instant);
        self.is_ready |= self.is_signed;
        self.step(Some(cas), Some(settled), now)
    }

    fn step(
        &self,
        stored: Option<&CaSet>,
        settled: Option<Duration>,
        now: Timestamp,
    ) -> Result<Next, CaError> {
        let observation = Observation { stored, remembered: self.remembered.as_ref(), now, settled };
        let decision = decide(&observation, &self.lifetimes);
        Ok(match decision.step {
            Some(step) => Next::Write(step, step.apply(&observation, &self.lifetimes)?),
            None => Next::Wait(decision.wait),
        })
    }

    /// Signs a serving certificate with the remembered CA, if one is due. Returns it if it is new.
    ///
    /// After a failed pass, the CA may have been replaced meanwhile, but an expired certificate would certainly be rejected.
    ///
    /// # Errors
    /// If the CA is not valid at `now`, or a name is not valid in a certificate.
    pub(super) fn sign(&mut self, now: Timestamp) -> Result<Option<&Leaf>, LeafError> {
        let Some(cas) = &self.remembered else { return Ok(None) };
        let ca = &cas.current;
        self.is_signed = self.leaf.as_ref().is_some_and(|leaf| !leaf.is_due(ca, now));
        if self.is_signed {
            return Ok(None);
        }
        let leaf = Leaf::sign(ca, &self.names, self.lifetimes.leaf, now)?;
        self.is_signed = true;
        Ok(Some(self.leaf.insert(leaf)))
    }

    /// The CAs that the Secret held when it was last read with any.
    pub(super) const fn remembered(&self) -> Option<&CaSet> {
        self.remembered.as_ref()
    }

    /// Whether every webhook configuration has trusted the serving certificate at least once.
    pub(super) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The time until the serving certificate is due for renewal.
    pub(super) fn until_renewal(&self, now: Timestamp) -> Duration {
        match &self.leaf {
            None => Duration::MAX,
            // The renewal is due but not possible, or a new certificate would not be valid longer.
            Some(leaf) if leaf.renew_at <= now => SIGN_RETRY,
            Some(leaf) => between(now, leaf.renew_at),
        }
    }
}

/// The time since which the CAs and the webhook configurations are unchanged.
#[derive(Debug, Default)]
struct Settled {
    since: Option<(CaSet, Revision, Instant)>,
}

impl Settled {
    /// Records that every webhook configuration has all of `cas`. Returns how long this has been so.
    ///
    /// The revision shows a bundle that was replaced and repaired between two passes: a late pass of another replica may put back the
    /// bundle of a moment ago, and an API server may still use that.
    fn observe(&mut self, cas: &CaSet, revision: Revision, now: Instant) -> Duration {
        match &self.since {
            Some((seen, at, since)) if seen == cas && *at == revision => {
                now.saturating_duration_since(*since)
            }
            _ => {
                self.since = Some((cas.clone(), revision, now));
                Duration::ZERO
            }
        }
    }

    /// Records that a webhook configuration lacks a CA.
    fn reset(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_or_a_missing_ca_restarts_the_wait() {
        let [one, other] =
            [(), ()].map(|()| CaSet::generate(&Lifetimes::default(), Timestamp::now()).unwrap());
        let (before, after) = (Revision(1), Revision(2));
        let second = Duration::from_secs(1);
        let mut settled = Settled::default();
        let mut now = Instant::now();
        for (seen, revision, expected) in [
            (&one, before, 0),
            (&one, before, 1),
            (&one, before, 2),
            (&other, before, 0),
            (&other, before, 1),
            (&one, before, 0),
            (&one, after, 0),
            (&one, after, 1),
        ] {
            assert_eq!(settled.observe(seen, revision, now), second * expected);
            now += second;
        }
        settled.reset();
        assert_eq!(settled.observe(&one, after, now), Duration::ZERO);
    }
}
