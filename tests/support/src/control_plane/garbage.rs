//! Kubernetes' garbage collector in a control plane.

use super::assets::controller_manager;
use super::server::Server;
use super::{ControlPlane, Error, Result};

/// The garbage collector of kube-controller-manager, without its other controllers. Dropping it stops it.
#[derive(Debug)]
pub struct GarbageCollector {
    server: Server,
}

impl GarbageCollector {
    /// The last lines of its log, for the message of a failed test.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log_tail()
    }
}

impl ControlPlane {
    /// Starts the garbage collector. It deletes objects whose owners are gone, a few seconds after it has listed every kind.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without Go to build it, [`Error::Failed`] if it does not start.
    pub async fn collect_garbage(&self) -> Result<GarbageCollector> {
        let program = tokio::task::spawn_blocking(controller_manager).await.map_err(|error| {
            Error::failed(format_args!("the search for kube-controller-manager broke off: {error}"))
        })??;
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig_path().display()),
            "--controllers=garbage-collector-controller".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--use-service-account-credentials=false".to_owned(),
        ];
        let directory = self.home.directory("kube-controller-manager")?;
        Ok(GarbageCollector {
            server: Server::spawn("kube-controller-manager", &program, &arguments, directory)?,
        })
    }
}
