//! A server process that cannot outlive the test.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Error, Result, files};

/// Runs a server, and stops it when the test closes the pipe on standard input: by dropping its end, by exiting, or by
/// being killed. The kernel closes the pipe in every case, so no signal handler is needed. `exited` reports that the
/// server has exited; a line on the pipe then starts it again.
const SUPERVISOR: &str = r#"
own=$1
shift
exec 3<&0 </dev/null
while
    "$@" 3<&- &
    server=$!
    echo "$server" >"$own/pid"
    { read -r _ <&3; kill -KILL "$server"; } &
    watcher=$!
    wait "$server"
    kill -KILL "$watcher"
    : >"$own/exited"
    read -r _ <&3
do :; done
rm -rf "$own"
rmdir "${own%/*}"
"#;

/// A running server and its directory.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    directory: PathBuf,
    supervisor: Child,
}

impl Server {
    /// Starts `program` under a supervisor. Its directory contains its log and is removed with it.
    pub(super) fn spawn(
        name: &'static str,
        program: &Path,
        args: &[String],
        directory: PathBuf,
    ) -> Result<Self> {
        let cannot =
            |error| Error::failed(format_args!("cannot start {name} from `{}`: {error}", program.display()));
        let log = File::create(log(&directory)).map_err(cannot)?;
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&directory)
            .arg(program)
            .args(args)
            // Variables such as `ETCD_NAME` or `HTTPS_PROXY` would change the behaviour of the servers.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // Ctrl-C ends the test; the supervisor must survive to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(log.try_clone().map_err(cannot)?)
            .stdout(log)
            .spawn()
            .map_err(cannot)?;
        Ok(Self { name, directory, supervisor })
    }

    /// Fails if the server has exited by itself.
    pub(super) fn check(&self) -> Result<()> {
        if !self.has_exited() {
            return Ok(());
        }
        Err(Error::failed(format_args!("{} stopped while it started; {}", self.name, self.log_excerpt())))
    }

    /// Sends a signal to the server, as `kill` does.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        let pid = files::read(&self.directory.join("pid"))?;
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Error::failed(format_args!("cannot send {name} to {}", self.name))),
        }
    }

    /// Whether the server has exited.
    pub(super) fn has_exited(&self) -> bool {
        self.directory.join("exited").exists()
    }

    /// Starts the server again after it has exited.
    pub(super) fn start_again(&mut self) -> Result<()> {
        let mut start = || {
            std::fs::remove_file(self.directory.join("exited"))?;
            let pipe = self.supervisor.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
            pipe.write_all(b"start\n")
        };
        start().map_err(|error| Error::failed(format_args!("cannot start {} again: {error}", self.name)))
    }

    /// The end of the log, with an introduction.
    pub(super) fn log_excerpt(&self) -> String {
        format!("the log of {} ends with:\n{}", self.name, self.log_tail())
    }

    pub(super) fn log_tail(&self) -> String {
        files::tail(&log(&self.directory))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // This fails only for a child that was already reaped, and nothing else waits for this one.
        let _ = self.supervisor.wait();
    }
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}
