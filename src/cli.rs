//! The command line: commands, arguments and exit codes.
//!
//! Each command is a file with its arguments and a `run` function, which takes the streams and returns the exit code. `run`
//! destructures the arguments without `..`, so that a flag without effect does not compile.
//!
//! Invariant: nothing outside this module reads arguments or writes to the terminal.

mod audit;
mod check;
mod check_report;
mod cluster_args;
mod completions;
mod condition;
mod crd;
mod dashboard;
mod duration;
mod explain;
mod generate;
mod man;
mod output;
mod page;
mod progress;
mod reason;
mod render;
mod serve;
mod status;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use output::{Streams, print};

const ABOUT: &str = "Keeps a gateway's pods, its Services and MetalLB's announcements in lockstep";

const LONG_ABOUT: &str = "\
Lockstep keeps an ingress gateway's pods, its Services and MetalLB's announcements in lockstep, so that the \
client's source IP survives to the gateway and to the audit log.

As a webhook (`serve`), it changes or rejects objects that would break this. Offline (`check`), it gives the same \
verdicts on manifests.";

/// Lines are shorter than 80 characters, because a wrapped command cannot be copied.
const EXAMPLES: &str = "\
Examples:
  Check the objects that a chart would install:
    helm template istio-ingressgateway istio/gateway -n istio-system |
      lockstep check -n istio-system -

  Check a directory against the topologies, nodes and pools of a cluster:
    lockstep check --cluster manifests/

  Check it against the same facts in files, away from the cluster:
    kubectl get gwt,ns,nodes,svc,pods,endpointslices,deploy,sts,ds,pdb -A \\
      -o yaml > state.yaml
    kubectl get ipaddresspools,l2advertisements,bgpadvertisements -A -o yaml |
      lockstep check --facts state.yaml --facts - manifests/

  Show what a cluster would reject today, before its topologies enforce it:
    lockstep check --cluster --enforce

  Install the GatewayTopology CRD:
    lockstep crd | kubectl apply -f -

  Explain which node announces each address, and if none does, why:
    lockstep explain

  Explain the same from manifests, away from the cluster:
    kubectl get gwt,ns,nodes,svc,pods,endpointslices,deploy,sts,ds,pdb -A \\
      -o yaml > state.yaml
    kubectl get ipaddresspools,l2advertisements,bgpadvertisements -A -o yaml |
      lockstep explain -f state.yaml -f -

  Predict what becomes of each address if a node fails:
    lockstep explain --fail-node worker-03

  Watch the same in a browser:
    lockstep dashboard

  Propose a topology for each gateway of the cluster, and what it lacks:
    lockstep generate

  Wait until the cluster's topologies are guarded:
    lockstep status --wait 60

  Count rejections by user and reason, and verify the decision log:
    lockstep audit query --verdict deny --by user,reason audit.log
    lockstep audit verify audit.log.1 audit.log

Exit codes:
  0  nothing is rejected; every topology is guarded; the client's source
     IP survives at every address; the log is intact
  1  an object is rejected; a topology is not guarded, or none exists;
     an address is lost or silent;
     the decision log is not intact
  2  the input or the cluster cannot be read, the output cannot be written,
     or the command line is invalid";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Use colours for text output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Dashboard(dashboard::DashboardArgs),
    Generate(generate::GenerateArgs),
    Reason(reason::ReasonArgs),
    Status(status::StatusArgs),
    Audit(audit::AuditArgs),
    Crd(crd::CrdArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always, also in files and pipes
    Always,
    /// Never
    Never,
}

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// 0: nothing is rejected, and no problem was found.
    Fine,
    /// 1: an object is rejected, or a problem was found.
    Denied,
    /// 2: the input cannot be read, the output cannot be written, or the command line is invalid.
    Unusable,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Denied => 1,
            Self::Unusable => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Reads the arguments of the process, runs the command, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().map(OsString::as_os_str);
    match completions::complete(called, &arguments) {
        Ok(false) => {}
        Ok(true) => return Exit::Fine.into(),
        Err(error) => {
            let _ = error.print();
            return Exit::Unusable.into();
        }
    }
    let mut command = command(called);
    let arguments = with_cluster_after_command(arguments.clone());
    let parsed =
        command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => cli.run(),
        // If standard error cannot be written, there is no way to report it.
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            Exit::Unusable.into()
        }
        // The text is help or the version.
        Err(text) => output::finish(text.print().map(|()| Exit::Fine), &mut io::stderr()).into(),
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        let Self { color, command } = self;
        match command {
            // The webhook logs from many threads, so it must not lock the streams.
            Command::Serve(args) => serve::run(*args),
            Command::Check(args) => with_streams(|streams| check::run(args, streams, color.is_wanted())),
            Command::Explain(args) => with_streams(|streams| explain::run(&args, streams, color.is_wanted())),
            Command::Dashboard(args) => with_streams(|streams| dashboard::run(&args, streams)),
            Command::Generate(args) => with_streams(|streams| generate::run(&args, streams)),
            Command::Status(args) => {
                with_streams(|streams| status::run(&args, streams.stdout, streams.stderr))
            }
            Command::Reason(args) => with_streams(|streams| reason::run(&args, streams)),
            Command::Audit(args) => with_streams(|streams| audit::run(&args, streams)),
            Command::Crd(args) => with_streams(|streams| crd::run(&args, streams.stdout)),
            Command::Completions(args) => with_streams(|streams| completions::run(&args, streams.stdout)),
            Command::Man(args) => with_streams(|streams| man::run(args, streams.stdout)),
        }
    }
}

/// Flags of `check` that change its output, for [`check_in_every_format`].
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default)]
pub struct TextOptions {
    /// As with `--strict`.
    pub is_strict: bool,
    /// As with `--quiet`.
    pub is_quiet: bool,
    /// As with `--color always`.
    pub has_color: bool,
    /// The width of the terminal in columns.
    pub width: Option<usize>,
}

/// The report of `check` on a text.
#[doc(hidden)]
#[derive(Debug)]
pub struct CheckedText {
    /// The exit code.
    pub exit: u8,
    /// The number of objects that were judged.
    pub judged: usize,
    /// The name of each output format, and the output.
    pub outputs: Vec<(String, String)>,
}

/// Runs `check` on a text as standard input in every output format: for tests that check millions of inputs.
///
/// # Panics
/// Never: that is what such tests find out.
#[doc(hidden)]
#[must_use]
pub fn check_in_every_format(stdin: &[u8], options: TextOptions) -> CheckedText {
    let TextOptions { is_strict, is_quiet, has_color, width } = options;
    let options = render::Options { is_strict, is_quiet, has_color, width };
    check::run_every_format(stdin, options).unwrap_or_else(|_| CheckedText {
        exit: Exit::Unusable.code(),
        judged: 0,
        outputs: Vec::new(),
    })
}

/// Runs `check` on a file or folder, drops the output, and returns the exit code: for benchmarks.
#[doc(hidden)]
#[must_use]
pub fn check_path(path: &Path) -> u8 {
    check::run_on_path(path).map_or(Exit::Unusable.code(), Exit::code)
}

/// Runs a command on the streams of the process.
fn with_streams(command: impl FnOnce(&mut Streams<'_>) -> io::Result<Exit>) -> ExitCode {
    let done = command(&mut Streams {
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::BufWriter::new(io::stdout().lock()),
        stderr: &mut io::stderr().lock(),
    });
    output::finish(done, &mut io::stderr()).into()
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

/// The arguments with the flags that name a cluster after the command's name, where it takes them: users of kubectl write
/// `kubectl lockstep --context x status`, too.
fn with_cluster_after_command(arguments: Vec<OsString>) -> Vec<OsString> {
    const FLAGS: [&str; 3] = ["--context", "--kubeconfig", "--color"];
    let mut rest = arguments.into_iter();
    let mut ordered: Vec<OsString> = rest.next().into_iter().collect();
    let mut flags = Vec::new();
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or_default();
        let is_flag = FLAGS.contains(&text);
        let is_with_value =
            FLAGS.iter().any(|flag| text.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')));
        if !is_flag && !is_with_value {
            // The command, or what is no flag of a cluster: the rest stays as it is.
            ordered.push(argument);
            break;
        }
        flags.push(argument);
        if is_flag {
            flags.extend(rest.next());
        }
    }
    ordered.extend(flags);
    ordered.extend(rest);
    ordered
}

/// The command, named as it was called: kubectl runs a plugin as `kubectl-lockstep`, and users type `kubectl lockstep`.
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
    fn the_command_line_is_valid_and_examples_fit_a_terminal() {
        Cli::command().debug_assert();
        assert!(EXAMPLES.lines().all(|line| line.len() < 80));
    }

    #[test]
    fn the_flags_of_a_cluster_may_stand_before_the_command() {
        let ordered = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            let words: Vec<String> = with_cluster_after_command(words)
                .into_iter()
                .map(|word| word.into_string().unwrap_or_default())
                .collect();
            words.join(" ")
        };
        for (line, expected) in [
            ("lockstep --context x status -o json", "lockstep status --context x -o json"),
            ("lockstep --kubeconfig=a --context x explain", "lockstep explain --kubeconfig=a --context x"),
            ("lockstep status --context x", "lockstep status --context x"),
            ("lockstep --help", "lockstep --help"),
            ("lockstep", "lockstep"),
            ("lockstep --context", "lockstep --context"),
        ] {
            assert_eq!(ordered(line), expected);
        }
        let words = with_cluster_after_command(
            "lockstep --context x status".split(' ').map(OsString::from).collect(),
        );
        assert!(matches!(Cli::try_parse_from(words).map(|cli| cli.command), Ok(Command::Status(_))));
        let words =
            with_cluster_after_command("lockstep --context x crd".split(' ').map(OsString::from).collect());
        assert!(Cli::try_parse_from(words).is_err(), "the command reads no cluster");
    }

    #[test]
    fn a_plugin_of_kubectl_shows_itself_as_kubectl_lockstep() {
        let name = |called| command(Some(OsStr::new(called))).get_bin_name().map(ToOwned::to_owned);
        assert_eq!(name("/usr/local/bin/kubectl-lockstep").as_deref(), Some("kubectl lockstep"));
        assert_eq!(name("./lockstep"), None);
    }
}
