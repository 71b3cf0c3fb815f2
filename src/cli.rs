//! What people type: the commands, their arguments and their exit codes.
//!
//! Each command is a file: its arguments, and a function that takes its streams and returns its exit code.
//!
//! Invariant: nothing outside this module reads arguments or writes to the terminal.

mod audit;
pub mod check;
mod completions;
mod crd;
mod duration;
mod man;
mod output;
mod render;
pub mod serve;
mod status;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use output::print;

const ABOUT: &str = "Keeps a gateway's pods, its Services and MetalLB's announcements in lockstep";

const LONG_ABOUT: &str = "\
Lockstep keeps an ingress gateway's pods, its Services and MetalLB's announcements in lockstep, so that the \
client's source IP survives to the gateway and to the audit log.

As a webhook (`serve`) it changes or refuses what would break that. Offline (`check`) it gives the same verdicts \
on manifests.";

/// Narrow enough for every terminal: what is wrapped cannot be copied.
const EXAMPLES: &str = "\
Examples:
  Check what a chart would install:
    helm template istio-ingressgateway istio/gateway -n istio-system |
      lockstep check -n istio-system -

  Check a directory against the nodes and pools of the cluster:
    kubectl get nodes,ipaddresspools,l2advertisements -A -o yaml > all.yaml
    lockstep check --facts all.yaml manifests/

  Install the GatewayTopology kind:
    lockstep crd | kubectl apply -f -

  Wait until the cluster's topologies are guarded:
    lockstep status --wait 60

  Count what was refused to whom, and see that nothing is missing:
    lockstep audit query --verdict deny --by user,reason audit.log
    lockstep audit verify audit.log.1 audit.log

Exit codes:
  0  nothing was refused; every topology is guarded; the log is intact
  1  something was refused; a topology is not guarded, or there is none;
     the decision log is not intact
  2  the input or the cluster cannot be read, the output cannot be written,
     or the command line is wrong";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Check(check::Args),
    Status(status::Args),
    Audit(audit::Args),
    Crd(crd::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Nowhere
    Never,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing to complain about.
    Fine,
    /// Something was refused, or is not as it should be.
    Denied,
    /// The input cannot be read, the output cannot be written, or the command line is wrong.
    Unusable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Denied => 1,
            Exit::Unusable => 2,
        })
    }
}

/// Reads the arguments of the process, runs the command and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = command(arguments.first().map(OsString::as_os_str));
    let parsed =
        command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => cli.run(),
        // Nothing can be done where standard error cannot be written.
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            Exit::Unusable.into()
        }
        // Help, or the version.
        Err(text) => output::finish(text.print().map(|()| Exit::Fine), &mut io::stderr()).into(),
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        let Self { color, command } = self;
        let done = match command {
            // It writes its log from many threads, so it must not find the streams locked.
            Command::Serve(args) => return serve::run(*args),
            Command::Check(args) => check_on_terminal(&args, color),
            Command::Status(args) => status::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()),
            Command::Audit(args) => audit_on_terminal(&args),
            Command::Crd(args) => crd::run(&args, &mut io::stdout().lock()),
            Command::Completions(args) => completions::run(&args, &mut io::stdout().lock()),
            Command::Man(args) => man::run(&args, &mut io::stdout().lock()),
        };
        output::finish(done, &mut io::stderr()).into()
    }
}

fn check_on_terminal(args: &check::Args, color: Color) -> io::Result<Exit> {
    let has_color = color.is_wanted();
    let mut streams = check::Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
        has_color,
    };
    check::run(args, &mut streams)
}

fn audit_on_terminal(args: &audit::Args) -> io::Result<Exit> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut streams = audit::Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut stdout,
        stderr: &mut io::stderr().lock(),
    };
    audit::run(args, &mut streams)
}

impl Color {
    fn is_wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        }
    }
}

/// The command by the name it was called: kubectl finds it as `kubectl-lockstep` and shows it as its own.
fn command(called: Option<&OsStr>) -> clap::Command {
    let command = Cli::command();
    match called.map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str) {
        Some("kubectl-lockstep") => command.bin_name("kubectl lockstep"),
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert!(EXAMPLES.lines().all(|line| line.len() < 80));
    }

    #[test]
    fn kubectl_calls_it_by_another_name() {
        let name = |called| command(Some(OsStr::new(called))).get_bin_name().map(ToOwned::to_owned);
        assert_eq!(name("/usr/local/bin/kubectl-lockstep").as_deref(), Some("kubectl lockstep"));
        assert_eq!(name("./lockstep"), None);
    }
}
