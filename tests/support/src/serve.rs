//! `lockstep serve` as a process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

/// The environment that the image sets for the program.
fn environment_of_the_image() -> Vec<(String, String)> {
    let dockerfile = crate::documents::text("Dockerfile");
    let image = dockerfile.split("FROM scratch").nth(1).unwrap();
    let variables = image.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Serve {
    /// The process.
    pub child: Child,
    /// `host:port` of the webhook.
    pub webhook: String,
    /// `host:port` of probes and metrics.
    pub admin: String,
    /// The CA of the serving certificate in PEM; empty if the certificate came from files.
    pub ca_pem: String,
    log: Log,
    _folder: tempfile::TempDir,
}

impl Serve {
    /// Starts a server on the manifests in `facts`.
    pub async fn on_facts(facts: &Path) -> Self {
        Self::start(&["--facts", facts.to_str().unwrap()], None).await
    }

    /// Starts a server on a cluster.
    pub async fn on_cluster(kubeconfig: &Path) -> Self {
        Self::start(&[], Some(kubeconfig)).await
    }

    /// Starts a server with further arguments, on free ports.
    pub async fn start(arguments: &[&str], kubeconfig: Option<&Path>) -> Self {
        Self::start_with_stdout(arguments, kubeconfig, Stdio::inherit()).await
    }

    /// Starts a server with further arguments and this standard output.
    pub async fn start_with_stdout(arguments: &[&str], kubeconfig: Option<&Path>, stdout: Stdio) -> Self {
        Self::start_program(&crate::program(), arguments, kubeconfig, stdout).await
    }

    /// Starts a server of another program, such as that of an earlier release.
    pub async fn start_program(
        program: &Path,
        arguments: &[&str],
        kubeconfig: Option<&Path>,
        stdout: Stdio,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let mut command = Command::new(program);
        command
            .args(["serve", "--admin-listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .envs(environment_of_the_image())
            // Findings are compared as a whole, although these callers have no certificate.
            .env("LOCKSTEP_NODE_NAMES", "always")
            .env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent")))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !arguments.contains(&"--tls-cert") && !arguments.contains(&"--tls-secret") {
            command.arg("--write-ca").arg(&ca);
        }
        let mut child = command.spawn().unwrap();
        let mut log = Log::read(child.stderr.take().unwrap());
        let serving = log.event("serving").await;
        let address = |field: &str| serving[field].as_str().unwrap().to_owned();
        Self {
            webhook: address("webhook"),
            admin: address("admin"),
            ca_pem: std::fs::read_to_string(&ca).unwrap_or_default(),
            child,
            log,
            _folder: folder,
        }
    }

    /// Waits for the next log event with this message.
    pub async fn event(&mut self, message: &str) -> Value {
        self.log.event(message).await
    }

    /// Waits for the process to exit. Returns its exit code, and the log lines that were not awaited yet.
    pub async fn ended(&mut self) -> (Option<i32>, Vec<String>) {
        let ended = async {
            let status = self.child.wait().await.unwrap();
            let mut lines = Vec::new();
            while let Some(line) = self.log.lines.recv().await {
                lines.push(line);
            }
            (status.code(), lines)
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        ended.expect("lockstep serve does not exit")
    }

    /// Closes the pipe that the log is written to.
    pub async fn break_log(&mut self) {
        self.log.reader.abort();
        while !self.log.reader.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Sends a signal, as `kill` does.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success()
        );
    }
}

/// The log. It is read continuously, because a full pipe would block the server.
#[derive(Debug)]
struct Log {
    lines: UnboundedReceiver<String>,
    reader: JoinHandle<()>,
}

impl Log {
    fn read(stderr: ChildStderr) -> Self {
        let (sender, lines) = unbounded_channel();
        let reader = tokio::spawn(async move {
            let mut read = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = read.next_line().await {
                let _ = sender.send(line);
            }
        });
        Self { lines, reader }
    }

    async fn event(&mut self, message: &str) -> Value {
        let mut seen = Vec::new();
        let found = async {
            while let Some(line) = self.lines.recv().await {
                match serde_json::from_str::<Value>(&line) {
                    Ok(event) if event["message"] == message => return Some(event),
                    _ => seen.push(line),
                }
            }
            None
        };
        match tokio::time::timeout(Duration::from_secs(30), found).await {
            Ok(Some(event)) => event,
            _ => panic!("lockstep serve did not log `{message}`, but:\n{}", seen.join("\n")),
        }
    }
}
