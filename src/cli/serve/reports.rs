//! Reconciliation of the reports of topologies while the webhook runs.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tracing::error;

use crate::cluster::{ReportInputs, WatchMetrics, reconcile_reports};
use crate::error::chain;

/// The pause after the reconciler ended, which only a bug can cause. Reviews are answered meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Keeps the reports of topologies current; does nothing without a cluster or without `--reports`.
pub(super) async fn keep(
    cluster: Option<(Client, WatchMetrics)>,
    inputs: Option<ReportInputs>,
) -> Infallible {
    let Some(((client, metrics), inputs)) = cluster.zip(inputs) else {
        return pending().await;
    };
    loop {
        // A task of its own: large reports hold up nothing else.
        let reconciler = reconcile_reports(client.clone(), inputs.clone(), metrics.clone());
        let task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reconciler));
        match task.await {
            Ok(failure) => error!(error = chain(&failure), "report reconciliation ended; restarting it"),
            Err(failure) => error!(error = chain(&failure), "report reconciliation ended; restarting it"),
        }
        sleep(RETRY_AFTER).await;
    }
}
