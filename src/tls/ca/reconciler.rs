//! The reconciler of one replica: it reconciles the CA Secret, the webhook configurations and the serving certificate
//! of this replica.

use std::convert::Infallible;
use std::future::pending;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::super::failure_log::FailureLog;
use super::super::metrics::CaMetrics;
use super::super::server_config::ReloadableConfig;
use super::ca_bundle::{CaBundle, CaBundleError, Found};
use super::ca_set::CaSet;
use super::certificate::CaError;
use super::leaf::{Leaf, LeafError};
use super::lifetimes::Lifetimes;
use super::rotation::{Observation, Step, decide};
use super::secret::{CaSecret, SecretError, SecretName, Stored, Written};
use super::time::between;
use crate::cluster::WebhookConfigurations;
use crate::error::chain;

/// The maximum time between two passes. Watches report changes earlier; this covers changes that they missed.
const RESYNC: Duration = Duration::from_secs(30);

/// The minimum time between two passes, so that two writers that revert each other do not overload the API server.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// The pause after a failed pass, and between attempts to sign a certificate.
const RETRY: Duration = Duration::from_secs(2);
const SIGN_RETRY: Duration = Duration::from_secs(10);

/// The time limit of a pass, which has a handful of requests. A request that hangs must not delay the renewal of the
/// serving certificate.
const PASS_TIMEOUT: Duration = Duration::from_secs(20);

/// The settings: the Secret with the CA, and the certificates that the CA signs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Secret. It must exist and may be empty.
    pub secret: SecretName,
    /// The names that the API server calls this replica by.
    pub names: Vec<String>,
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
}

/// The state that the reconciler reports besides the serving certificate.
pub(in crate::tls) struct Status {
    /// The CA of the serving certificate in PEM; `None` before the first one.
    pub(in crate::tls) trust_anchors: watch::Receiver<Option<String>>,
    /// `Ok` after the first certificate that every webhook configuration trusts, and from then on.
    pub(in crate::tls) readiness: watch::Receiver<Result<(), String>>,
}

/// The cause of a failed pass.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    CaBundle(#[from] CaBundleError),
    #[error("no certificate authority could be generated")]
    Generate(#[from] CaError),
    #[error("no certificate could be signed")]
    Sign(#[from] LeafError),
    #[error("the API server did not answer within {} s", PASS_TIMEOUT.as_secs())]
    Timeout,
}

/// Reconciles the Secret, the webhook configurations and the serving certificate of this replica.
pub(in crate::tls) struct Reconciler {
    secret: CaSecret,
    ca_bundle: CaBundle,
    configurations: watch::Receiver<WebhookConfigurations>,
    names: Vec<String>,
    lifetimes: Lifetimes,
    config: ReloadableConfig,
    trust_anchors: watch::Sender<Option<String>>,
    readiness: watch::Sender<Result<(), String>>,
    metrics: CaMetrics,
    remembered: Option<CaSet>,
    settled: Settled,
    leaf: Option<Leaf>,
}

impl Reconciler {
    pub(in crate::tls) fn new(
        client: Client,
        configurations: watch::Receiver<WebhookConfigurations>,
        settings: Settings,
        config: ReloadableConfig,
        metrics: CaMetrics,
    ) -> (Self, Status) {
        let Settings { secret, names, lifetimes } = settings;
        let configuration = configurations.borrow().name.clone();
        let (trust_anchors, follow_trust_anchors) = watch::channel(None);
        let (readiness, follow_readiness) = watch::channel(Err("there is no certificate yet".to_owned()));
        let reconciler = Self {
            secret: CaSecret::new(client.clone(), secret),
            ca_bundle: CaBundle::new(client, configuration),
            configurations,
            names,
            lifetimes,
            config,
            trust_anchors,
            readiness,
            metrics,
            remembered: None,
            settled: Settled::default(),
            leaf: None,
        };
        (reconciler, Status { trust_anchors: follow_trust_anchors, readiness: follow_readiness })
    }

    /// Runs a pass on every change of an object, and when a step is due. Failures are logged, counted and retried.
    pub(in crate::tls) async fn run(mut self) -> Infallible {
        let mut secret_changes = self.secret.changes();
        let mut failures =
            FailureLog::new("CA reconciliation failed; retrying", "CA reconciliation succeeded again");
        let mut renewal_failures = FailureLog::new(
            "renewal of the serving certificate failed; retrying",
            "the serving certificate can be renewed again",
        );
        loop {
            // The pass below reads all changes up to now.
            while secret_changes.next().now_or_never().flatten().is_some() {}
            self.configurations.mark_unchanged();
            let outcome = timeout(PASS_TIMEOUT, self.pass()).await.unwrap_or(Err(ReconcileError::Timeout));
            self.metrics.count_pass(outcome.is_ok());
            failures.record(&outcome);
            let pause = outcome.map_or_else(
                |error| {
                    self.report_unready(&error);
                    RETRY
                },
                |wait| wait.min(RESYNC),
            );
            // Signs with the remembered CA if the pass failed before it could sign. The CA may have been replaced
            // meanwhile, but an expired certificate would certainly be rejected.
            let now = Timestamp::now();
            renewal_failures.record(&self.sign(now));
            let pause = pause.min(self.until_renewal(now));
            sleep(MIN_PAUSE).await;
            tokio::select! {
                _ = secret_changes.next() => {}
                () = changed(&mut self.configurations) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Reads all objects and takes the next step. Returns the time until the next step is due, or zero after a change.
    async fn pass(&mut self) -> Result<Duration, ReconcileError> {
        let stored = self.secret.read().await?;
        let Some(cas) = &stored.cas else { return self.rotate(&stored, None).await };
        self.remember(cas);
        // The certificate does not depend on the configurations, so it is signed first. If the CA has expired, it
        // cannot sign, and the rotation below replaces it.
        let signed = self.sign(Timestamp::now());
        let Some(settled) = self.publish(cas).await? else { return Ok(Duration::ZERO) };
        if signed.is_ok() {
            self.readiness.send_if_modified(|ready| std::mem::replace(ready, Ok(())).is_err());
        }
        let wait = self.rotate(&stored, Some(settled)).await?;
        if wait > Duration::ZERO {
            signed?;
        }
        Ok(wait)
    }

    fn remember(&mut self, cas: &CaSet) {
        self.metrics.set_expiry(cas.current.certificate().not_after());
        if self.remembered.as_ref() != Some(cas) {
            self.remembered = Some(cas.clone());
        }
    }

    /// Makes every webhook configuration trust all CAs. Returns how long they have done so; `None` if one had to be
    /// changed.
    async fn publish(&mut self, cas: &CaSet) -> Result<Option<Duration>, ReconcileError> {
        let found = self.ca_bundle.write(&cas.bundle()).await;
        if let Ok(Found::Complete) = found {
            return Ok(Some(self.settled.observe(cas, Instant::now())));
        }
        self.settled.reset();
        if let Found::Mended(webhooks) = found? {
            self.metrics.count_mended_bundles(webhooks);
            info!(webhooks, "updated caBundle of webhooks");
        }
        Ok(None)
    }

    /// Takes the next step of a rotation, if one is due. Returns the time until one is due, or zero.
    async fn rotate(&self, stored: &Stored, settled: Option<Duration>) -> Result<Duration, ReconcileError> {
        let observation = Observation {
            stored: stored.cas.as_ref(),
            remembered: self.remembered.as_ref(),
            now: Timestamp::now(),
            settled,
        };
        let decision = decide(&observation, &self.lifetimes);
        let Some(step) = decision.step else { return Ok(decision.wait) };
        let cas = step.apply(&observation, &self.lifetimes)?;
        if self.secret.write(stored, &cas).await? == Written::Yes {
            if step == Step::Promote {
                self.metrics.count_rotation();
            }
            info!(?step, ca = cas.current.certificate().serial(), "updated the CA Secret");
        }
        Ok(Duration::ZERO)
    }

    /// Signs a serving certificate with the remembered CA, if one is due.
    fn sign(&mut self, now: Timestamp) -> Result<(), LeafError> {
        let Some(cas) = &self.remembered else { return Ok(()) };
        let ca = &cas.current;
        if self.leaf.as_ref().is_some_and(|leaf| !leaf.is_due(ca, now)) {
            return Ok(());
        }
        let leaf = Leaf::sign(ca, &self.names, self.lifetimes.leaf, now)?;
        info!(ca = leaf.issuer, not_after = leaf.not_after.as_second(), "signed a serving certificate");
        self.config.set_certificate(&leaf.certificate);
        self.metrics.set_issuer(&leaf.issuer);
        self.trust_anchors.send_replace(Some(ca.certificate().pem().to_owned()));
        self.leaf = Some(leaf);
        Ok(())
    }

    fn until_renewal(&self, now: Timestamp) -> Duration {
        match &self.leaf {
            None => Duration::MAX,
            // The renewal is due but not possible, or a new certificate would not be valid longer.
            Some(leaf) if leaf.renew_at <= now => SIGN_RETRY,
            Some(leaf) => between(now, leaf.renew_at),
        }
    }

    /// Reports the cause at `/readyz`, until the replica is ready for the first time.
    fn report_unready(&self, error: &ReconcileError) {
        self.readiness.send_if_modified(|ready| {
            if ready.is_err() {
                *ready = Err(chain(error));
            }
            ready.is_err()
        });
    }
}

/// Waits for a change; forever if the watch has ended.
async fn changed(configurations: &mut watch::Receiver<WebhookConfigurations>) {
    if configurations.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// The time since which the CAs and the webhook configurations are unchanged.
#[derive(Debug, Default)]
struct Settled {
    since: Option<(CaSet, Instant)>,
}

impl Settled {
    /// Records that every webhook configuration has all of `cas`. Returns how long this has been so.
    fn observe(&mut self, cas: &CaSet, now: Instant) -> Duration {
        match &self.since {
            Some((seen, since)) if seen == cas => now.saturating_duration_since(*since),
            _ => {
                self.since = Some((cas.clone(), now));
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
mod tests {
    use super::*;

    #[test]
    fn a_change_or_a_missing_ca_restarts_the_wait() {
        let [one, other] =
            [(), ()].map(|()| CaSet::generate(&Lifetimes::default(), Timestamp::now()).unwrap());
        let second = Duration::from_secs(1);
        let mut settled = Settled::default();
        let mut now = Instant::now();
        for (seen, expected) in [(&one, 0), (&one, 1), (&one, 2), (&other, 0), (&other, 1), (&one, 0)] {
            assert_eq!(settled.observe(seen, now), second * expected);
            now += second;
        }
        settled.reset();
        assert_eq!(settled.observe(&one, now), Duration::ZERO);
    }
}
