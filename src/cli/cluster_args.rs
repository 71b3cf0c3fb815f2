//! The flags that name a cluster, as kubectl has them.

use std::path::PathBuf;

use clap_complete::ArgValueCandidates;
use kube::Client;

use super::completions;
use crate::cluster;

/// The cluster that a command reads, with the reader's own rights.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ClusterArgs {
    /// The kubeconfig file; by default `KUBECONFIG` or `~/.kube/config`, and in a pod its service account
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; by default its current one
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completions::contexts))]
    context: Option<String>,
}

impl ClusterArgs {
    /// Whether a flag names a cluster.
    pub(super) const fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// A client for the cluster.
    ///
    /// # Errors
    /// [`cluster::Error`], if there is no such cluster. It is not connected to yet.
    pub(super) async fn connect(&self) -> Result<Client, cluster::Error> {
        cluster::connect_to(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}
