//! Keeps the status of topologies while the webhook runs.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::cluster::{self, Guard, Metrics};
use crate::text::chain;

/// How long to wait after a defect; reviews go on all the same.
const PAUSE: Duration = Duration::from_secs(30);

/// Keeps the status of topologies; does nothing without a cluster or without a guard.
pub(super) async fn keep(cluster: Option<(Client, Metrics)>, guard: Option<Guard>) -> Infallible {
    let Some(((client, metrics), guard)) = cluster.zip(guard) else {
        return pending().await;
    };
    loop {
        let ended = cluster::guard(client.clone(), guard.clone(), metrics.clone(), CancellationToken::new());
        if let Err(failure) = ended.await {
            error!(error = chain(&failure), "the status of topologies is not kept; starting that again");
        }
        sleep(PAUSE).await;
    }
}
