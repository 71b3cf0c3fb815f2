//! Reconciliation of the status of topologies while the webhook runs.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::cluster::{StatusInputs, WatchMetrics, reconcile_status};
use crate::error::chain;

/// The pause after the reconciler ended, which only a bug can cause. Reviews are answered meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Keeps the status of topologies current; does nothing without a cluster or without webhook configurations.
pub(super) async fn keep(
    cluster: Option<(Client, WatchMetrics)>,
    inputs: Option<StatusInputs>,
) -> Infallible {
    let Some(((client, metrics), inputs)) = cluster.zip(inputs) else {
        return pending().await;
    };
    loop {
        let ended =
            reconcile_status(client.clone(), inputs.clone(), metrics.clone(), CancellationToken::new()).await;
        if let Err(failure) = ended {
            error!(error = chain(&failure), "status reconciliation ended; restarting it");
        }
        sleep(RETRY_AFTER).await;
    }
}
