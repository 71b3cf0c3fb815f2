//! The flags of the decision log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use prometheus_client::registry::Registry;

use super::Failure;
use crate::audit::{DecisionLog, LineHash, RotatingFile, Rotation};
use crate::webhook::Decisions;

/// The default size of a file: 100 MiB, which is some hundred thousand records.
const SIZE: u64 = 100 << 20;
/// The default number of rotated files.
const OLDER: u32 = 5;

/// The flags of the decision log.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DecisionArgs {
    /// Record every denial, edit and warning in this file, one JSON object a line; `-` writes to standard output
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_AUDIT_LOG")]
    audit_log: Option<PathBuf>,
    /// Rotate the decision log at this size: `FILE` becomes `FILE.1`
    #[arg(long, value_name = "BYTES", default_value_t = SIZE, env = "LOCKSTEP_AUDIT_LOG_SIZE", value_parser = clap::value_parser!(u64).range(1..))]
    audit_log_size: u64,
    /// Keep this many rotated files of the decision log
    #[arg(long, value_name = "COUNT", default_value_t = OLDER, env = "LOCKSTEP_AUDIT_LOG_FILES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    audit_log_files: u32,
    /// Also record requests that were allowed without findings
    #[arg(long, env = "LOCKSTEP_AUDIT_ALLOWED")]
    audit_allowed: bool,
    /// Name this replica in the decision log and in spans; by default, the host name, which in a pod is the pod's name
    #[arg(long, value_name = "NAME", env = "LOCKSTEP_REPLICA")]
    replica: Option<String>,
}

impl DecisionArgs {
    /// Returns the name of this replica.
    pub(super) fn replica(&self) -> String {
        self.replica.clone().unwrap_or_else(host_name)
    }

    /// Opens the decision log; `None` without `--audit-log`.
    pub(super) fn start(self, registry: &mut Registry) -> Result<Option<Decisions>, Failure> {
        let replica = self.replica();
        let Self { audit_log, audit_log_size, audit_log_files, audit_allowed, replica: _ } = self;
        let Some(path) = audit_log else { return Ok(None) };
        let rotation = Rotation { size: audit_log_size, older: audit_log_files };
        let log = open(&path, rotation, &replica)
            .map_err(|error| format!("`--audit-log` `{}` cannot be written: {error}", path.display()))?;
        log.register(registry);
        Ok(Some(Decisions { log, also_allowed: audit_allowed }))
    }
}

fn open(path: &Path, rotation: Rotation, replica: &str) -> io::Result<DecisionLog> {
    if path == Path::new("-") {
        // The standard library's `Stdout` is not used, because its buffer keeps bytes that it cannot write.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        return DecisionLog::start(out, replica, LineHash::NONE);
    }
    let mut file = RotatingFile::open(path.to_owned(), rotation)?;
    let previous = file.last_hash()?;
    DecisionLog::start(file, replica, previous)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}
