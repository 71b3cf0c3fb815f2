//! Finds or builds the programs of a control plane.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::cache::{Pin, announce, variable};
use super::options::Kubernetes;
use super::{Error, Result, go, node};

/// The programs of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// The path of etcd.
    pub etcd: PathBuf,
    /// The path of kube-apiserver.
    pub kube_apiserver: PathBuf,
}

/// Finds etcd and kube-apiserver: in `$KUBEBUILDER_ASSETS` if it is set, otherwise in the cache, where missing
/// programs are built. Only a build uses the network.
///
/// # Errors
/// [`Error::Unavailable`] without assets and without Go, [`Error::Failed`] if a build fails.
pub fn assets() -> Result<Assets> {
    assets_of(Kubernetes::default())
}

/// Finds etcd, and kube-apiserver of this release. `$KUBEBUILDER_ASSETS` stands for the default release only.
///
/// # Errors
/// See [`assets`].
pub(super) fn assets_of(release: Kubernetes) -> Result<Assets> {
    match (release, variable("KUBEBUILDER_ASSETS")) {
        (Kubernetes::USUAL, Some(folder)) => given(Path::new(&folder)),
        _ => Ok(Assets {
            etcd: etcd()?,
            kube_apiserver: kubernetes_of(release, "kube-apiserver", "4 minutes")?,
        }),
    }
}

fn given(folder: &Path) -> Result<Assets> {
    let find = |name: &str| {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
        // Not `Unavailable`: somebody has set this folder, and a typo must not skip the tests.
        Err(Error::failed(format_args!(
            "KUBEBUILDER_ASSETS is `{}`, which has no {name}; put it there, or unset the variable to build it",
            folder.display()
        )))
    };
    Ok(Assets { etcd: find("etcd")?, kube_apiserver: find("kube-apiserver")? })
}

fn etcd() -> Result<PathBuf> {
    let pin = Pin::read("etcd", "go.etcd.io/etcd/server/v3")?;
    pin.cached("etcd", |output| {
        announce(format_args!("building etcd {}, once; half a minute on 2 cores", pin.version()));
        go::build(&pin, ".", "", output)
    })
}

/// The programs that make a control plane a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machinery {
    /// The path of kube-controller-manager.
    pub controller_manager: PathBuf,
    /// The path of kube-scheduler.
    pub scheduler: PathBuf,
    /// The path of kube-proxy.
    pub proxy: PathBuf,
    /// The path of MetalLB's controller, which assigns addresses to Services.
    pub controller: PathBuf,
    /// The path of MetalLB's speaker, which announces the addresses.
    pub speaker: PathBuf,
}

/// Kubernetes' own controllers, scheduler and proxy, and MetalLB, from the cache; missing programs are built.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if a build fails.
pub fn machinery() -> Result<Machinery> {
    Ok(Machinery {
        controller_manager: controller_manager()?,
        scheduler: kubernetes("kube-scheduler", "1 minute")?,
        proxy: kubernetes("kube-proxy", "1 minute")?,
        controller: metallb("controller")?,
        speaker: metallb("speaker")?,
    })
}

/// Kubernetes' controllers, from the cache; they are built if they are missing.
pub(super) fn controller_manager() -> Result<PathBuf> {
    kubernetes("kube-controller-manager", "1 minute")
}

fn kubernetes(program: &str, time: &str) -> Result<PathBuf> {
    kubernetes_of(Kubernetes::USUAL, program, time)
}

fn kubernetes_of(release: Kubernetes, program: &str, time: &str) -> Result<PathBuf> {
    let folder = match release {
        Kubernetes::USUAL => "kubernetes".to_owned(),
        other => format!("kubernetes-{}", other.version()),
    };
    let pin = Pin::read(&folder, "k8s.io/kubernetes")?;
    pin.cached(program, |output| {
        announce(format_args!("building {program} {}, once; about {time} on 2 cores", pin.version()));
        let package = format!("k8s.io/kubernetes/cmd/{program}");
        go::build(&pin, &package, &version_flags(pin.version()), output)
    })
}

fn metallb(program: &str) -> Result<PathBuf> {
    let pin = Pin::read("metallb-0.15.2", "go.universe.tf/metallb")?;
    pin.cached(program, |output| {
        announce(format_args!(
            "building MetalLB's {program} {}, once; about 1 minute on 2 cores",
            pin.version()
        ));
        go::build(&pin, &format!("go.universe.tf/metallb/{program}"), "", output)
    })
}

/// kubectl of the default release, from the cache; it is built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn kubectl() -> Result<PathBuf> {
    let pin = Pin::read("kubectl", "k8s.io/kubernetes")?;
    pin.cached("kubectl", |output| {
        announce(format_args!("building kubectl {}, once; about 1 minute on 2 cores", pin.version()));
        go::build(&pin, "k8s.io/kubernetes/cmd/kubectl", &version_flags(pin.version()), output)
    })
}

/// Helm, from the cache; it is built if it is missing. `$KUBEBUILDER_ASSETS` never has it.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn helm() -> Result<PathBuf> {
    let pin = Pin::read("helm", "helm.sh/helm/v4")?;
    pin.cached("helm", |output| {
        announce(format_args!("building Helm {}, once; about 2 minutes on 2 cores", pin.version()));
        let version = format!("-X helm.sh/helm/v4/internal/version.version={}", pin.version());
        go::build(&pin, "helm.sh/helm/v4/cmd/helm", &version, output)
    })
}

/// The build tag that leaves out Prometheus' service discovery, which is most of what it is built from.
const NO_DISCOVERY: &str = "remove_all_sd";

/// Prometheus' promtool, from the cache; it is built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn promtool() -> Result<PathBuf> {
    prometheus("promtool", "github.com/prometheus/prometheus/cmd/promtool")
}

/// The program in `tests/support/go/prometheus`, which reads metrics with Prometheus' parser; from the cache, too.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn openmetrics() -> Result<PathBuf> {
    prometheus("openmetrics", ".")
}

fn prometheus(name: &str, package: &str) -> Result<PathBuf> {
    let pin = Pin::read("prometheus", "github.com/prometheus/prometheus")?;
    pin.cached(name, |output| {
        let version = pin.version();
        announce(format_args!("building {name} of Prometheus {version}, once; up to 2 minutes on 2 cores"));
        go::build_with(&pin, package, NO_DISCOVERY, "", output)
    })
}

/// The program in `tests/support/go/grafana`, which reads a dashboard with the types that Grafana publishes; from the cache, where it is
/// built if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without Go, [`Error::Failed`] if the build fails.
pub fn grafana_types() -> Result<PathBuf> {
    let pin = Pin::read("grafana", "github.com/grafana/grafana-foundation-sdk/go")?;
    pin.cached("dashboard", |output| {
        announce(format_args!("building Grafana's types {}, once; half a minute on 2 cores", pin.version()));
        go::build(&pin, ".", "", output)
    })
}

/// The folder of the script that drives a browser, with the npm packages that it takes; from the cache, where it is made if it is
/// missing. Chromium itself is Debian's.
///
/// # Errors
/// [`Error::Unavailable`] without npm, [`Error::Failed`] if the packages cannot be installed.
pub fn browser_driver() -> Result<PathBuf> {
    let pin = Pin::read_node("browser")?;
    pin.cached("driver", |output| {
        announce("installing playwright-core and axe-core, once; seconds");
        node::install(pin.source(), output)
    })
}

/// Microsoft's validator of SARIF, a program for Linux on amd64, from the cache; its npm package is installed if it is missing.
///
/// # Errors
/// [`Error::Unavailable`] without npm, [`Error::Failed`] if the package cannot be installed.
pub fn sarif_validator() -> Result<PathBuf> {
    let pin = Pin::read_node("sarif")?;
    let package = pin.cached("validator", |output| {
        announce("installing sarif-multitool, once; half a minute");
        node::install(pin.source(), output)
    })?;
    let program = package.join("node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");
    // The package would set this by a script of its own, and none runs.
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).map_err(|error| {
        Error::failed(format_args!("cannot make `{}` executable: {error}", program.display()))
    })?;
    Ok(program)
}

/// Without these flags, Kubernetes reports the version v0.0.0-master, which breaks clients.
fn version_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)]
        .map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"))
        .join(" ")
}
