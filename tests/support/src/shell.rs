//! A shell as a user has it: the programs are in its path, and the cluster is the one of its kubeconfig.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::control_plane::{ControlPlane, kubectl};

/// The time limit of a script in seconds: nothing that a script waits for takes that long.
const LIMIT: &str = "120";

/// A folder in which scripts run, with `lockstep` and `kubectl` in their path.
#[derive(Debug)]
pub struct Shell {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    variables: Vec<(&'static str, OsString)>,
}

impl Shell {
    /// A shell for the cluster of this control plane.
    pub fn on(control_plane: &ControlPlane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let kubeconfig = control_plane.kubeconfig_path().to_owned();
        let shell = Self { folder, kubeconfig, variables: Vec::new() };
        shell.with("lockstep", &crate::program()).with("kubectl", &kubectl().unwrap())
    }

    /// The shell with one more program in its path.
    #[must_use]
    pub fn with(self, name: &str, program: &Path) -> Self {
        symlink(program, self.folder().join("bin").join(name)).unwrap();
        self
    }

    /// The shell with one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name, value.as_ref().to_owned()));
        self
    }

    /// The folder in which scripts run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a script, which ends with its first command that fails.
    pub fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("timeout");
        shell.args([LIMIT, "bash", "-e", "-o", "pipefail", "-c", script]).current_dir(self.folder());
        shell.env("PATH", format!("{}/bin:{path}", self.folder().display()));
        shell.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder());
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell.stdin(Stdio::null()).output().unwrap()
    }
}

/// The text of standard output and of standard error.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
