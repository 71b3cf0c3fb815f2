//! A server process that cannot outlive the test.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Error, Result, files};

/// Runs a server, and ends it when the test lets go of the pipe on standard input: by dropping its end, by
/// exiting, or by being killed. The kernel closes the pipe in every case, so no signal handler is needed.
/// `exited` tells the test that the server ended on its own.
const SUPERVISOR: &str = r#"
own=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -KILL "$server"; } &
watcher=$!
wait "$server"
: >"$own/exited"
kill -KILL "$watcher"
read -r _ <&3
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
    /// Starts `program` under a supervisor. Its directory holds its log and goes with it.
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
            // Variables such as `ETCD_NAME` or `HTTPS_PROXY` would change what the servers do.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // Ctrl-C ends the test; the supervisor must live on to clean up after it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(log.try_clone().map_err(cannot)?)
            .stdout(log)
            .spawn()
            .map_err(cannot)?;
        Ok(Self { name, directory, supervisor })
    }

    /// Fails once the server has ended on its own.
    pub(super) fn check(&self) -> Result<()> {
        if !self.directory.join("exited").exists() {
            return Ok(());
        }
        Err(Error::failed(format_args!("{} stopped while it started; {}", self.name, self.log_excerpt())))
    }

    /// The end of the log with a word of introduction.
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
        // Only an already reaped child makes this fail, and nobody else waits for this one.
        let _ = self.supervisor.wait();
    }
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}
