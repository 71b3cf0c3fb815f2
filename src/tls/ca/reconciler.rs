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
use super::leaf::LeafError;
use super::lifetimes::Lifetimes;
use super::replica::{Next, Replica};
use super::rotation::Step;
use super::secret::{CaSecret, SecretError, SecretName, Stored, Written};
use crate::cluster::WebhookConfigurations;
use crate::error::chain;

/// The maximum time between two passes. Watches report changes earlier; this covers changes that they missed.
const RESYNC: Duration = Duration::from_secs(30);

/// The minimum time between two passes, so that two writers that revert each other do not overload the API server.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// The pause after a failed pass.
const RETRY: Duration = Duration::from_secs(2);

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
    replica: Replica,
    config: ReloadableConfig,
    trust_anchors: watch::Sender<Option<String>>,
    readiness: watch::Sender<Result<(), String>>,
    metrics: CaMetrics,
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
            replica: Replica::new(names, lifetimes),
            config,
            trust_anchors,
            readiness,
            metrics,
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
            // The pass may have failed before it could sign.
            let now = Timestamp::now();
            renewal_failures.record(&self.sign(now));
            let pause = pause.min(self.replica.until_renewal(now));
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
        let now = Timestamp::now();
        let mut next = self.replica.read(stored.cas.as_ref(), now)?;
        // The certificate does not depend on the configurations, so it is signed first. If the CA has expired, it
        // cannot sign, and the rotation below replaces it.
        let signed = match &stored.cas {
            Some(cas) => {
                self.metrics.set_expiry(cas.current.certificate().not_after());
                self.sign(now)
            }
            None => Ok(()),
        };
        loop {
            next = match next {
                Next::Publish(bundle) => self.publish(&bundle).await?,
                Next::Write(step, cas) => {
                    self.write(&stored, step, &cas).await?;
                    Next::Again
                }
                Next::Again => return Ok(Duration::ZERO),
                Next::Wait(wait) => {
                    signed?;
                    return Ok(wait);
                }
            };
        }
    }

    /// Makes every webhook configuration trust the bundle, and decides what comes next.
    async fn publish(&mut self, bundle: &str) -> Result<Next, ReconcileError> {
        let found = self.ca_bundle.write(bundle).await;
        let next = self.replica.compared(found.as_ref().ok().copied(), Timestamp::now(), Instant::now());
        if let Found::Mended(webhooks) = found? {
            self.metrics.count_mended_bundles(webhooks);
            info!(webhooks, "updated caBundle of webhooks");
        }
        if self.replica.is_ready() {
            self.readiness.send_if_modified(|ready| std::mem::replace(ready, Ok(())).is_err());
        }
        Ok(next?)
    }

    /// Writes the CAs after a step. If another client has written the Secret since it was read, the next pass decides anew.
    async fn write(&self, stored: &Stored, step: Step, cas: &CaSet) -> Result<(), ReconcileError> {
        if self.secret.write(stored, cas).await? == Written::Yes {
            if step == Step::Promote {
                self.metrics.count_rotation();
            }
            info!(?step, ca = cas.current.certificate().serial(), "updated the CA Secret");
        }
        Ok(())
    }

    /// Signs a serving certificate with the remembered CA, if one is due, and serves it.
    fn sign(&mut self, now: Timestamp) -> Result<(), LeafError> {
        let Some(leaf) = self.replica.sign(now)? else { return Ok(()) };
        info!(ca = leaf.issuer, not_after = leaf.not_after.as_second(), "signed a serving certificate");
        self.config.set_certificate(&leaf.certificate);
        self.metrics.set_issuer(&leaf.issuer);
        let signer = self.replica.remembered().map(|cas| cas.current.certificate().pem().to_owned());
        self.trust_anchors.send_replace(signer);
        Ok(())
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
