//! Controllers in a control plane: Kubernetes' own, the scheduler, and MetalLB's.

use std::path::Path;

use super::assets::{controller_manager, machinery};
use super::server::Server;
use super::{ControlPlane, Error, Result};

/// A program that watches objects and changes others. Dropping it stops it.
#[derive(Debug)]
pub struct Controller {
    server: Server,
}

impl Controller {
    /// The last lines of its log, for the message of a failed test.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log_tail()
    }
}

impl ControlPlane {
    /// Starts kube-controller-manager with these controllers alone. The garbage collector deletes objects whose owners are gone a few
    /// seconds after it has listed every kind.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without Go to build it, [`Error::Failed`] if it does not start.
    pub async fn start_controllers(&self, controllers: &[&str]) -> Result<Controller> {
        let program = found(controller_manager).await?;
        let arguments = [
            format!("--controllers={}", controllers.join(",")),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--use-service-account-credentials=false".to_owned(),
        ];
        self.start_controller("kube-controller-manager", &program, arguments.into())
    }

    /// Starts kube-scheduler and MetalLB's controller, which serves no webhook here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without Go to build them, [`Error::Failed`] if one does not start.
    pub async fn start_scheduler_and_metallb(&self) -> Result<[Controller; 2]> {
        let programs = found(machinery).await?;
        let scheduler = vec!["--leader-elect=false".to_owned(), "--secure-port=0".to_owned()];
        let metallb = vec!["--namespace=metallb-system".to_owned(), "--webhook-mode=disabled".to_owned()];
        Ok([
            self.start_controller("kube-scheduler", &programs.scheduler, scheduler)?,
            self.start_controller("metallb-controller", &programs.controller, metallb)?,
        ])
    }

    fn start_controller(
        &self,
        name: &'static str,
        program: &Path,
        mut arguments: Vec<String>,
    ) -> Result<Controller> {
        arguments.push(format!("--kubeconfig={}", self.kubeconfig_path().display()));
        Ok(Controller { server: Server::spawn(name, program, &arguments, self.home.directory(name)?)? })
    }
}

/// The first call may build for minutes, so it must not block the thread of the test's other tasks.
async fn found<T: Send + 'static>(find: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let found = tokio::task::spawn_blocking(find).await;
    found.map_err(|error| Error::failed(format_args!("the search for a controller broke off: {error}")))?
}
