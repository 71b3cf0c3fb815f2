//! A real control plane for tests: etcd and kube-apiserver on loopback ports.
//!
//! The programs come from `$KUBEBUILDER_ASSETS`, or from a cache that is filled once by building the modules pinned
//! under `tests/support/go`. Every [`ControlPlane`] has its own etcd, ports, certificates, tokens and directory, so
//! tests run side by side, as many at once as there are processors. Servers and files are removed after the test, even
//! if it is killed.
//!
//! No controller runs here. A deleted namespace stays `Terminating`, a Deployment creates no pods, and no scheduler
//! binds a pod to a node: a test writes those objects itself, and does not reuse the name of a namespace.

use std::path::{Path, PathBuf};
use std::time::Duration;

mod assets;
mod audit;
mod cache;
mod concurrency;
mod controllers;
mod crds;
mod credentials;
mod definitions;
mod error;
mod faults;
mod files;
mod flags;
mod go;
mod metallb;
mod node;
mod options;
mod oracle;
mod port;
mod ready;
mod report_kinds;
mod server;

pub use assets::{
    Assets, Machinery, assets, browser_driver, grafana_types, helm, kubectl, machinery, openmetrics,
    promtool, sarif_validator,
};
pub use audit::AuditLevel;
pub use concurrency::Turn;
pub use controllers::Controller;
pub use error::{Error, Result};
pub use metallb::{MetalLb, metallb_chart, metallb_crds};
pub use options::{Kubernetes, Options};
pub use oracle::{MetalLbOracle, kubernetes_oracle, metallb_oracle};
pub use report_kinds::ReportKinds;

use credentials::{ADMIN, Credentials};
use files::Home;
use port::Port;
use server::Server;

/// The time limit of a start: 3 s is usual, and a machine that compiles on every core needs ten times that.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// A running control plane. Dropping it stops the servers and removes their files.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields drop in this order: the API server before the etcd it talks to, the files last.
    api_server: Server,
    etcd: Server,
    url: String,
    credentials: Credentials,
    audit_log: Option<PathBuf>,
    _ports: [Port; 3],
    home: Home,
    _turn: Turn,
}

impl ControlPlane {
    /// Starts a control plane with the usual options and waits until it is ready.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts a control plane and waits until it is ready.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this machine has neither the programs nor Go to build them; [`Error::Failed`], with
    /// the end of the server's log, if a server does not start.
    pub async fn start_with(options: Options) -> Result<Self> {
        // The first call may build for minutes, so it must not block the thread of the test's other tasks.
        let release = options.release();
        let assets =
            tokio::task::spawn_blocking(move || assets::assets_of(release)).await.map_err(|error| {
                Error::failed(format_args!("the search for kube-apiserver broke off: {error}"))
            })??;
        let turn = if options.is_alone() { Turn::alone().await } else { Turn::shared().await };
        let control_plane = Self::launch(&assets, options, turn)?;
        tokio::time::timeout(START_DEADLINE, control_plane.ready())
            .await
            .unwrap_or_else(|_| Err(control_plane.not_ready_after(START_DEADLINE)))?;
        Ok(control_plane)
    }

    fn launch(assets: &Assets, options: Options, turn: Turn) -> Result<Self> {
        let home = Home::create()?;
        let ports = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
        let [secure, client, peer] = ports.each_ref().map(Port::number);
        let url = format!("https://127.0.0.1:{secure}");

        // Both start at once: the API server retries until etcd answers.
        let directory = home.directory("etcd")?;
        let args = flags::etcd(&directory, client, peer);
        let etcd = Server::spawn("etcd", &assets.etcd, &args, directory)?;

        let directory = home.directory("kube-apiserver")?;
        let credentials = Credentials::create(&directory, &url)?;
        let audit = options.audit_log(&directory);
        let mut args = flags::api_server(&directory, secure, client);
        if let Some((level, log)) = &audit {
            args.extend(audit::flags(*level, log, &directory)?);
        }
        args.extend(options.into_api_server_args());
        let api_server = Server::spawn("kube-apiserver", &assets.kube_apiserver, &args, directory)?;

        let audit_log = audit.map(|(_, log)| log);
        Ok(Self { api_server, etcd, url, credentials, audit_log, _ports: ports, home, _turn: turn })
    }

    /// The address of the API server: `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate authority that signed the API server's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.credentials.ca_pem()
    }

    /// The bearer token of `admin`, who is in `system:masters`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.credentials.admin_token()
    }

    /// The bearer token of `admin`, `alice` or `bob`. The last two have no rights until a test binds a role to them.
    ///
    /// # Errors
    /// If there is no user of that name.
    pub fn user_token(&self, name: &str) -> Result<&str> {
        self.credentials.token(name)
    }

    /// A kubeconfig for `KUBECONFIG=`: it acts as `admin`, and has a context for `alice` and one for `bob`.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        self.credentials.kubeconfig()
    }

    /// The audit log, one JSON event per line, if [`Options::audit`] enabled it. An event may be written shortly after
    /// its response: [`Self::audit_event`] waits for it.
    #[must_use]
    pub fn audit_log(&self) -> Option<&Path> {
        self.audit_log.as_deref()
    }

    /// The last lines of the API server's log, for the message of a failed test.
    #[must_use]
    pub fn api_server_log(&self) -> String {
        self.api_server.log_tail()
    }

    /// A client that acts as `admin`.
    ///
    /// # Errors
    /// See [`Self::client_as`].
    pub async fn client(&self) -> Result<kube::Client> {
        self.client_as(ADMIN).await
    }

    /// A client that acts as `admin`, `alice` or `bob`. It belongs to the runtime of the calling test.
    ///
    /// # Errors
    /// If there is no user of that name, or the kubeconfig does not exist.
    pub async fn client_as(&self, name: &str) -> Result<kube::Client> {
        self.credentials.client(name).await
    }

    /// A client whose requests the API server handles as those of this user in these groups.
    ///
    /// # Errors
    /// If the kubeconfig does not exist.
    pub async fn client_impersonating(&self, user: &str, groups: &[&str]) -> Result<kube::Client> {
        self.credentials.client_impersonating(user, groups).await
    }
}
