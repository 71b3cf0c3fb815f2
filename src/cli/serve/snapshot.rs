//! The source of snapshots: a cluster or manifests.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Failure;
use crate::cluster::{self, StateSender, WatchMetrics};
use crate::manifests;
use crate::snapshot::{Inventory, KnownState, Publication, Snapshot};

/// The namespace of manifests without one, as in kubectl.
const NAMESPACE: &str = "default";

/// The source of the snapshots that reviews are judged by.
pub(super) struct SnapshotSource {
    publish: watch::Sender<Option<Arc<Snapshot>>>,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    cluster: Option<(Client, WatchMetrics)>,
}

impl SnapshotSource {
    /// Reads the cluster's live state. There is no snapshot before it was read.
    pub(super) async fn cluster(registry: &mut Registry) -> Result<Self, Failure> {
        let metrics = WatchMetrics::default();
        metrics.register(registry);
        let client =
            cluster::connect().await.map_err(|error| format!("{error}; `--facts PATH` needs no cluster"))?;
        let (publish, snapshots) = watch::channel(None);
        Ok(Self { publish, snapshots, cluster: Some((client, metrics)) })
    }

    /// Reads manifests once. Every file must be readable, because a snapshot with missing objects would be wrong.
    pub(super) fn manifests(paths: &[PathBuf]) -> Result<Self, Failure> {
        let inventory = read(paths)?;
        let topologies: Vec<&str> = inventory.topologies.keys().map(String::as_str).collect();
        info!(
            nodes = inventory.nodes.len(),
            topologies = topologies.join(","),
            "read the snapshot from manifests"
        );
        let publication = Publication { number: 1, time: Timestamp::now() };
        let snapshot = Snapshot::new(&inventory).published(publication);
        let state = KnownState { inventory: Arc::new(inventory), metallb_kinds: Arc::default() };
        let snapshot = snapshot.with_state(Some(state));
        let (publish, snapshots) = watch::channel(Some(Arc::new(snapshot)));
        Ok(Self { publish, snapshots, cluster: None })
    }

    pub(super) fn snapshots(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.snapshots.clone()
    }

    /// The client and the metrics of the cluster, if there is one.
    pub(super) fn cluster_access(&self) -> Option<(Client, WatchMetrics)> {
        self.cluster.clone()
    }

    /// Keeps the snapshot current, and returns only if it no longer can.
    ///
    /// The objects of a watch are used for at most `stale_after` without hearing from the API server.
    pub(super) async fn keep(self, assessor: Option<StateSender>, stale_after: Duration) -> Failure {
        let Some((client, metrics)) = self.cluster else {
            let _publish = self.publish;
            return pending().await;
        };
        match cluster::run(client, self.publish, assessor, metrics, stale_after, CancellationToken::new())
            .await
        {
            Ok(()) => "the watches ended: this is a bug, report it".into(),
            Err(error) => error.into(),
        }
    }
}

/// Reads the manifests one document at a time: the values and positions of a large cluster are several times its inventory,
/// and the allocator would keep their memory.
fn read(paths: &[PathBuf]) -> Result<Inventory, Failure> {
    let mut inventory = Inventory::default();
    let mut problems = Vec::new();
    let unreadable = manifests::load_each(paths, &mut std::io::empty(), &mut |document| {
        let added = manifests::add(&mut inventory, &document, NAMESPACE).and_then(|()| {
            let added = manifests::add_assessed(&mut inventory, &document.value, NAMESPACE);
            added.map_err(|error| document.problem(error))
        });
        match added {
            Ok(added) => inventory.read.extend(added),
            Err(problem) => problems.push(problem),
        }
    });
    inventory.infer_settings();
    let problems: Vec<String> = problems.iter().chain(&unreadable).map(ToString::to_string).collect();
    if problems.is_empty() {
        return Ok(inventory.or_built_in());
    }
    Err(format!("`--facts` cannot be used: {}", problems.join("; ")).into())
}
