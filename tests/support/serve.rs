//! `lockstep serve` as a process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Serve {
    /// Its process.
    pub child: Child,
    /// `host:port` of the webhook.
    pub webhook: String,
    /// `host:port` of probes and metrics.
    pub admin: String,
    /// The certificate that signs what it serves.
    pub ca_pem: String,
    log: Lines<BufReader<ChildStderr>>,
    folder: tempfile::TempDir,
}

impl Serve {
    /// Starts on manifests in `facts`.
    pub async fn on_facts(facts: &Path) -> Self {
        Self::start(&["--facts", facts.to_str().unwrap()], None).await
    }

    /// Starts on a cluster.
    pub async fn on_cluster(kubeconfig: &Path) -> Self {
        Self::start(&[], Some(kubeconfig)).await
    }

    /// Starts with further arguments, on free ports, with a certificate of its own making.
    pub async fn start(arguments: &[&str], kubeconfig: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ])
            .arg("--write-ca")
            .arg(&ca)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent")))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = event(&mut log, "serving").await;
        let address = |field: &str| serving[field].as_str().unwrap().to_owned();
        Self {
            webhook: address("webhook"),
            admin: address("admin"),
            ca_pem: std::fs::read_to_string(&ca).unwrap(),
            child,
            log,
            folder,
        }
    }

    /// Waits for the log event with this message.
    pub async fn event(&mut self, message: &str) -> Value {
        event(&mut self.log, message).await
    }

    /// Reads the log to the end in the background, so that a full pipe never holds the server up.
    pub fn drain_log(self) -> (Child, tempfile::TempDir) {
        let Self {
            child,
            mut log,
            folder,
            ..
        } = self;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        (child, folder)
    }
}

async fn event(log: &mut Lines<BufReader<ChildStderr>>, message: &str) -> Value {
    let mut seen = Vec::new();
    let found = async {
        while let Some(line) = log.next_line().await.unwrap() {
            match serde_json::from_str::<Value>(&line) {
                Ok(event) if event["message"] == message => return Some(event),
                _ => seen.push(line),
            }
        }
        None
    };
    match tokio::time::timeout(Duration::from_secs(30), found).await {
        Ok(Some(event)) => event,
        _ => panic!(
            "lockstep serve never said `{message}`; it said:\n{}",
            seen.join("\n")
        ),
    }
}
