//! Where facts come from: a cluster, or manifests.

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
use crate::cluster;
use crate::labels::Labels;
use crate::manifests;
use crate::snapshot::{Inventory, Publication, Snapshot};

/// The namespace of manifests that name none, as kubectl has it.
const NAMESPACE: &str = "default";

/// A source of facts.
pub(super) struct Source {
    publish: watch::Sender<Option<Arc<Snapshot>>>,
    facts: watch::Receiver<Option<Arc<Snapshot>>>,
    cluster: Option<(Client, cluster::Metrics)>,
}

impl Source {
    /// The cluster's live state. There are no facts before it was read.
    pub(super) async fn cluster(registry: &mut Registry) -> Result<Self, Failure> {
        let metrics = cluster::Metrics::default();
        metrics.register(registry);
        let client =
            cluster::connect().await.map_err(|error| format!("{error}; `--facts PATH` needs no cluster"))?;
        let (publish, facts) = watch::channel(None);
        Ok(Self { publish, facts, cluster: Some((client, metrics)) })
    }

    /// Manifests, read once. All of them must be readable: facts with a hole would be wrong.
    pub(super) fn manifests(paths: Vec<PathBuf>) -> Result<Self, Failure> {
        let inventory = read(paths)?;
        let topologies: Vec<&str> = inventory.topologies.keys().map(String::as_str).collect();
        info!(
            nodes = inventory.nodes.len(),
            topologies = topologies.join(","),
            "facts were read from manifests"
        );
        let publication = Publication { number: 1, time: Timestamp::now() };
        let facts = Snapshot::new(&inventory).published(publication);
        let (publish, facts) = watch::channel(Some(Arc::new(facts)));
        Ok(Self { publish, facts, cluster: None })
    }

    pub(super) fn facts(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.facts.clone()
    }

    /// How the cluster is reached and its metrics, where there is one.
    pub(super) fn cluster_access(&self) -> Option<(Client, cluster::Metrics)> {
        self.cluster.clone()
    }

    /// Keeps the facts fresh; comes back only if it no longer can.
    ///
    /// What a watch told is used for at most `stale_after` without a word from the API server.
    pub(super) async fn keep(self, stale_after: Duration) -> Failure {
        let Some((client, metrics)) = self.cluster else {
            let _publish = self.publish;
            return pending().await;
        };
        match cluster::run(client, self.publish, metrics, stale_after, CancellationToken::new()).await {
            Ok(()) => "the watches ended without being asked to".into(),
            Err(error) => error.into(),
        }
    }
}

/// Reads the manifests on a thread of its own, and takes only the inventory over into this one.
///
/// The text, values and positions of a large cluster are several times its inventory. The allocator keeps
/// memory by thread, and gives a thread's back as a whole: what is copied here is all that stays resident.
fn read(paths: Vec<PathBuf>) -> Result<Inventory, Failure> {
    let reader = std::thread::spawn(move || {
        let loaded = manifests::load(&paths, &mut std::io::empty());
        let (inventory, mut problems) = manifests::inventory(&loaded.documents, NAMESPACE);
        problems.extend(loaded.problems);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(inventory) } else { Err(problems.join("; ")) }
    });
    let read = reader.join().map_err(|_| "the manifests could not be read: this is a defect")?;
    let inventory = read.map_err(|problems| format!("`--facts` cannot be used: {problems}"))?;
    let nodes = inventory.nodes.iter().map(|(name, labels)| (name.clone(), Arc::new(Labels::clone(labels))));
    let copied = Inventory { nodes: nodes.collect(), ..inventory.clone() };
    Ok(copied.or_built_in())
}
