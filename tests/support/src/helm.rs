//! Helm as a process, and the chart.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::control_plane;

/// The namespace that the tests install the chart into, with the release name `lockstep`.
pub const NAMESPACE: &str = "lockstep-system";

/// The sets of values in the chart's folder `ci`.
pub const VALUES: [&str; 6] = ["default", "ha", "cert-manager", "mtls", "minimal", "everything"];

/// Helm with its own configuration files, for one cluster or for none.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Helm {
    /// Helm without a cluster, which can only render.
    pub fn offline() -> Self {
        Self::on(Path::new("/nonexistent"))
    }

    /// Helm for the cluster of a kubeconfig.
    pub fn on(kubeconfig: &Path) -> Self {
        let program = control_plane::helm().unwrap();
        Self { program, home: tempfile::tempdir().unwrap(), kubeconfig: kubeconfig.to_owned() }
    }

    /// Runs a command in the tests' namespace. Returns standard output, or standard error if it fails.
    pub fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.path().join(folder));
        }
        command.args(arguments.iter().map(AsRef::as_ref)).env("KUBECONFIG", &self.kubeconfig);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The output of `helm template` for a set of values in `ci`, with further arguments.
    pub fn template(&self, values: &str, more: &[&str]) -> String {
        let (chart, values) = (chart(""), values_file(values));
        let arguments = ["template", "lockstep", &chart, "-n", NAMESPACE, "-f", &values];
        self.run(&[&arguments, more].concat()).unwrap()
    }

    /// The output of `helm template`, parsed.
    pub fn render(&self, values: &str, more: &[&str]) -> Vec<Value> {
        objects(&self.template(values, more))
    }
}

/// The path of a file in the chart.
pub fn chart(path: &str) -> String {
    crate::root().join("charts/lockstep").join(path).to_str().unwrap().to_owned()
}

/// The path of a set of values.
pub fn values_file(values: &str) -> String {
    chart(&format!("ci/{values}-values.yaml"))
}

/// The text of a file in the chart.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(chart(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}

/// The objects in YAML documents.
pub fn objects(yaml: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// The only object of this kind.
pub fn the(kind: &str, objects: &[Value]) -> Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "objects of kind {kind}");
    found[0].clone()
}
