//! The authority in its Secret, its CAs in the webhook configurations, and this replica's own leaf.
//!
//! A pass reads the Secret, signs a leaf if one is due, puts the CAs into every webhook configuration that
//! lacks one, and makes at most one change of the Secret. It runs whenever one of the three objects changes, and
//! when something is due. Replicas are equal: a change is written only onto the version that was read, so where
//! several want to make one, the first makes it and the others read again.

mod configurations;
mod error;
mod metrics;
mod news;
mod secret;
mod settled;
mod steward;

pub use error::Error;
pub use metrics::Metrics;
pub use secret::{SecretName, SecretNameError};

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use kube::Client;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::certs;
use crate::certs::authority::{Lifetimes, now};
use crate::error::chain;
use steward::{Steward, Then};

/// The longest time between two passes. Changes are noticed by watches; this is for those that went unseen.
const EVERY: Duration = Duration::from_secs(30);

/// The least time between two passes, so that two who undo each other's changes do not take the API server
/// for themselves.
const REST: Duration = Duration::from_millis(50);

/// After a pass that failed.
const RETRY: Duration = Duration::from_secs(2);

/// A pass is a handful of requests. One that hangs must not keep a leaf from being renewed.
const PASS: Duration = Duration::from_secs(20);

/// What an authority is kept in, and for whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Secret. It must exist; it may be empty.
    pub secret: SecretName,
    /// The name that the `MutatingWebhookConfiguration` and the `ValidatingWebhookConfiguration` share.
    pub configuration: String,
    /// The names that the API server calls this replica by.
    pub names: Vec<String>,
    /// How long certificates are valid.
    pub lifetimes: Lifetimes,
}

/// Where the outcome goes to.
#[derive(Debug)]
pub struct Outlets {
    /// Each leaf, when it is signed.
    pub tls: watch::Sender<Arc<ServerConfig>>,
    /// The CA that signed the leaf, as PEM: what callers must trust.
    pub relied_on: watch::Sender<Option<String>>,
    /// Why calls cannot be answered yet. Once there is a leaf and every configuration trusts it, this is `Ok`
    /// and stays so: whatever fails later, what is there goes on serving.
    pub ready: watch::Sender<Result<(), String>>,
    /// What is counted about the served certificate.
    pub certificates: certs::Metrics,
    /// What is counted about the authority.
    pub metrics: Metrics,
}

/// Keeps the authority, the configurations and this replica's leaf, for ever.
///
/// Nothing that the API server does or refuses ends it: failures are logged, counted and tried again.
pub async fn keep(client: Client, settings: Settings, outlets: Outlets) {
    let mut changes = std::pin::pin!(changes(&client, &settings));
    let mut steward = Steward::new(client, settings, outlets);
    let mut last = None;
    loop {
        // What has changed up to here, the pass will see.
        while changes.next().now_or_never().flatten().is_some() {}
        let outcome = timeout(PASS, steward.pass()).await.unwrap_or(Err(Error::Timeout));
        let pause = match &outcome {
            Ok(Then::GoOn) => Duration::ZERO,
            Ok(Then::Wait(again)) => (*again).min(EVERY),
            Err(_) => RETRY,
        };
        steward.count(&outcome);
        report(outcome.err(), &mut last, &steward);
        sleep(REST).await;
        let pause = pause.min(steward.renew(now()));
        tokio::select! {
            _ = changes.next() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Logs a failure that is news, and the end of failures.
fn report(error: Option<Error>, last: &mut Option<String>, steward: &Steward) {
    let complaint = error.map(|error| chain(&error));
    if complaint == *last {
        return;
    }
    match &complaint {
        Some(complaint) => {
            steward.complain(complaint);
            warn!(error = complaint, "the certificate authority could not be tended; trying again");
        }
        None => info!("the certificate authority is tended again"),
    }
    *last = complaint;
}

fn changes(client: &Client, settings: &Settings) -> impl Stream<Item = ()> + use<> {
    let [mutating, validating] = configurations::changes(client, &settings.configuration);
    futures::stream::select_all([secret::changes(client, &settings.secret), mutating, validating])
}
