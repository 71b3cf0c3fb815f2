//! One replica's part in keeping the authority.

use std::time::{Duration, Instant};

use kube::Client;
use tracing::{info, warn};

use super::configurations::{Configurations, Found};
use super::secret::{Conflict, Held, Store};
use super::settled::Settled;
use super::{Error, Outlets, Settings};
use crate::certs::authority::{Authority, Leaf, Lifetimes, Moment, Step, View, decide, now};
use crate::error::chain;

/// Leaves that cannot be signed are tried again this often.
const SIGN_AGAIN: Duration = Duration::from_secs(10);

/// What one replica knows and holds.
pub(super) struct Steward {
    store: Store,
    configurations: Configurations,
    names: Vec<String>,
    lifetimes: Lifetimes,
    outlets: Outlets,
    remembered: Option<Authority>,
    settled: Settled,
    leaf: Option<Leaf>,
}

/// What follows a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Something was changed; look at what came of it.
    GoOn,
    /// Nothing is due for so long.
    Wait(Duration),
}

impl Steward {
    pub(super) fn new(client: Client, settings: Settings, outlets: Outlets) -> Self {
        let Settings { secret, configuration, names, lifetimes } = settings;
        Self {
            configurations: Configurations::new(&client, configuration),
            store: Store::new(client, secret),
            names,
            lifetimes,
            outlets,
            remembered: None,
            settled: Settled::default(),
            leaf: None,
        }
    }

    /// Reads everything, and does the next thing.
    pub(super) async fn pass(&mut self) -> Result<Then, Error> {
        let held = self.store.read().await?;
        let Some(authority) = &held.authority else { return self.decide(&held, None).await };
        // The leaf comes first: what the configurations say cannot change whose leaf is the right one. A CA that
        // has expired signs none, and that is only mended by going on.
        let signed = self.adopt(authority);
        let Some(settled) = self.align(authority).await? else { return Ok(Then::GoOn) };
        if signed.is_ok() {
            self.outlets.ready.send_if_modified(|ready| std::mem::replace(ready, Ok(())).is_err());
        }
        match self.decide(&held, Some(settled)).await? {
            Then::GoOn => Ok(Then::GoOn),
            Then::Wait(again) => signed.map(|()| Then::Wait(again)),
        }
    }

    /// For how long everything has been as it should be; `None` if something had to be changed for that.
    async fn align(&mut self, authority: &Authority) -> Result<Option<Duration>, Error> {
        let found = self.configurations.align(&authority.bundle()).await;
        if let Ok(Found::Complete) = found {
            return Ok(Some(self.settled.note(authority, Instant::now())));
        }
        self.settled.forget();
        self.mended(found?);
        Ok(None)
    }

    async fn decide(&mut self, held: &Held, settled: Option<Duration>) -> Result<Then, Error> {
        let stored = held.authority.as_ref();
        let view = View { stored, remembered: self.remembered.as_ref(), now: now(), settled };
        let decision = decide(&view, &self.lifetimes);
        let Some(step) = decision.step else { return Ok(Then::Wait(decision.again)) };
        let outcome = step.outcome(&view, &self.lifetimes)?;
        if let Err(Conflict) = self.store.write(held, &outcome).await? {
            return Ok(Then::GoOn);
        }
        if step == Step::Promote {
            self.outlets.metrics.rotated();
        }
        info!(?step, ca = outcome.current.certificate().serial(), "the CA Secret was changed");
        Ok(Then::GoOn)
    }

    /// Takes what stands in the Secret for what is true.
    fn adopt(&mut self, authority: &Authority) -> Result<(), Error> {
        self.outlets.metrics.stored(authority);
        if self.remembered.as_ref() != Some(authority) {
            self.remembered = Some(authority.clone());
        }
        self.sign(now())
    }

    /// Signs a leaf by what is remembered, if one is due.
    fn sign(&mut self, now: Moment) -> Result<(), Error> {
        let Some(authority) = &self.remembered else { return Ok(()) };
        let ca = &authority.current;
        if self.leaf.as_ref().is_some_and(|leaf| !leaf.is_due(ca, now)) {
            return Ok(());
        }
        let leaf = Leaf::sign(ca, &self.names, self.lifetimes.leaf, now)?;
        info!(ca = leaf.issuer, not_after = leaf.not_after.as_secs(), "a certificate was signed");
        self.outlets.certificates.serves(&leaf.pair);
        self.outlets.metrics.serves(&leaf);
        self.outlets.tls.send_replace(leaf.pair.config.clone());
        self.outlets.relied_on.send_replace(Some(ca.certificate().pem().to_owned()));
        self.leaf = Some(leaf);
        Ok(())
    }

    /// Renews the leaf where no pass did, and says when it wants to be renewed next. A CA that this replica
    /// remembers may have been replaced meanwhile, but a leaf that has expired is refused for certain.
    pub(super) fn renew(&mut self, now: Moment) -> Duration {
        if let Err(error) = self.sign(now) {
            warn!(error = chain(&error), "the certificate could not be renewed");
        }
        let rest = self.leaf.as_ref().map(|leaf| leaf.renew_at.saturating_sub(now));
        // What is still due by the same clock could not be signed, or would not last longer.
        rest.map_or(Duration::MAX, |rest| if rest.is_zero() { SIGN_AGAIN } else { rest })
    }

    /// Says at the admin port what is wrong, until it is right for the first time.
    pub(super) fn complain(&self, complaint: &str) {
        self.outlets.ready.send_if_modified(|ready| {
            let waits = ready.is_err();
            if waits {
                *ready = Err(complaint.to_owned());
            }
            waits
        });
    }

    pub(super) fn count(&self, outcome: &Result<Then, Error>) {
        self.outlets.metrics.passed(outcome.is_ok());
    }

    fn mended(&self, found: Found) {
        if let Found::Mended(webhooks) = found {
            self.outlets.metrics.mended(webhooks);
            info!(webhooks, "webhooks were given the CA bundle");
        }
    }
}
