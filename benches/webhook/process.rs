//! The webhooks as processes, and the CPU time and memory that the kernel reports for them.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// A running webhook. It is killed when dropped.
pub struct Server {
    child: Child,
    ca_file: tempfile::NamedTempFile,
    /// The folder of the decision log, which is removed with the server.
    folder: Option<tempfile::TempDir>,
}

/// The address of a webhook, and the CA that a client must trust.
pub struct Address {
    pub webhook: String,
    pub ca_pem: String,
}

/// Reads a pipe to its end in large pieces and discards it, so that reading costs as little as possible.
async fn drain(pipe: impl AsyncRead + Unpin) {
    let mut pieces = BufReader::with_capacity(1 << 20, pipe);
    // The pipe of a killed process may end anywhere.
    let _ = tokio::io::copy_buf(&mut pieces, &mut tokio::io::sink()).await;
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("a path"))
}

impl Server {
    pub fn noop() -> Self {
        Self::hosted(super::hosted::NOOP)
    }

    /// Starts the rules and the codec, without logs and metrics.
    pub fn engine() -> Self {
        Self::hosted(super::hosted::ENGINE)
    }

    /// Starts the product's webhook with metrics and the decision log on standard output, a pipe that is read.
    pub fn engine_recording() -> Self {
        Self::start(this_program().args([super::hosted::RECORDING, "-"]).stdout(Stdio::piped()))
    }

    /// Starts the product's webhook with metrics and the decision log in a file in the system's temporary folder.
    pub fn engine_recording_to_file() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("audit.log");
        let server = Self::start(this_program().arg(super::hosted::RECORDING).arg(log));
        Self { folder: Some(folder), ..server }
    }

    /// Starts a no-op webhook on rustls and hyper alone, without limits, metrics and an end.
    pub fn bare() -> Self {
        Self::hosted(super::hosted::BARE)
    }

    /// Starts the product's webhook with the state of a cluster of ten nodes, or of a hundred thousand.
    pub fn small() -> Self {
        Self::start(this_program().args([super::hosted::LARGE, "1"]))
    }

    pub fn huge() -> Self {
        Self::start(this_program().args([super::hosted::LARGE, "5000"]))
    }

    /// Starts the product's webhook with the state of a large cluster that stays as it is.
    pub fn still() -> Self {
        Self::hosted(super::hosted::LARGE)
    }

    /// Starts the product's webhook with the state of a large cluster that changes.
    pub fn changing() -> Self {
        Self::start(this_program().args([super::hosted::LARGE, super::hosted::CHANGING]))
    }

    /// Starts the product's webhook with the state of a large cluster that changes and is assessed.
    pub fn assessing() -> Self {
        use super::hosted::{ASSESSING, CHANGING, LARGE};
        Self::start(this_program().args([LARGE, CHANGING, ASSESSING]))
    }

    fn hosted(argument: &str) -> Self {
        Self::start(this_program().arg(argument))
    }

    pub fn lockstep() -> Self {
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/seed");
        Self::lockstep_on(&seed)
    }

    /// Starts the product with its decision log on standard output, as in the chart. The operators' log has no line
    /// for an edit then.
    pub fn recording() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command.args(["serve", "--audit-log", "-"]).stdout(Stdio::piped());
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/seed");
        Self::serve(&mut command, &seed)
    }

    /// Starts the product as [`Self::lockstep`] does, with an exporter of spans to this collector.
    pub fn tracing(collector: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/seed");
        Self::serve(command.args(["serve", "--otlp-endpoint", collector]), &seed)
    }

    /// Starts the product with its log on a pipe that is read.
    pub fn lockstep_on(facts: &Path) -> Self {
        Self::serve(Command::new(env!("CARGO_BIN_EXE_lockstep")).arg("serve"), facts)
    }

    fn serve(command: &mut Command, facts: &Path) -> Self {
        Self::start(
            command
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .args(["--log-format", "json"])
                .arg("--facts")
                .arg(facts),
        )
    }

    fn start(command: &mut Command) -> Self {
        let ca_file = tempfile::NamedTempFile::new().expect("a temporary file");
        if command.as_std().get_program() == env!("CARGO_BIN_EXE_lockstep") {
            command.arg("--write-ca").arg(ca_file.path());
        }
        let child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("a process");
        Self { child, ca_file, folder: None }
    }

    /// Waits until the webhook serves. From then on its log is read to the end.
    pub async fn ready(&mut self) -> Address {
        let mut lines = BufReader::new(self.child.stderr.take().expect("a piped log")).lines();
        let serving = loop {
            let line = lines.next_line().await.expect("a log").expect("the webhook serves before it exits");
            match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(event) if event["message"] == "serving" => break event,
                _ => {}
            }
        };
        drop(tokio::spawn(drain(lines.into_inner().into_inner())));
        drop(self.child.stdout.take().map(|decisions| tokio::spawn(drain(decisions))));
        let text = |field: &str| serving[field].as_str().map(str::to_owned);
        let written = std::fs::read_to_string(self.ca_file.path()).unwrap_or_default();
        Address { webhook: text("webhook").expect("an address"), ca_pem: text("ca").unwrap_or(written) }
    }

    /// Returns the CPU time so far in seconds, in user and kernel mode.
    pub fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        // The fields follow the command's name, which is in parentheses and may contain anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<f64>().ok()).sum();
        // Linux counts in hundredths of a second (`USER_HZ`) on every architecture in use.
        ticks / 100.0
    }

    /// Returns the resident memory in MB.
    pub fn resident(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(f64::NAN)
            / 1024.0
    }

    fn proc(&self, file: &str) -> String {
        let pid = self.child.id().expect("a running process");
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("Linux")
    }
}
