//! `lockstep check`: the webhook's verdicts on manifests, without a cluster.

mod judge;
mod replay;
mod report;

pub(super) use report::{Judged, Placed, Report};

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::render::{self, Options};
use super::{Exit, print};

/// Judge manifests as the webhook would
///
/// Everything in the input is both judged and used as facts: the verdict on an `L2Advertisement` depends on the
/// topologies, pools, Services and Nodes that are given with it. Without a `GatewayTopology` in the input the
/// built-in one is used: Istio's ingress gateway on the nodes labelled `loadbalancerIPs.metallb.io=arp`.
///
/// Objects are judged as if they were created. A Deployment, a Job and their like are judged by
/// the pods that they would create. A recorded `AdmissionReview` is judged as it was sent.
///
/// The exit code is 0 if nothing was refused, 1 if something was, or with `--strict` would be changed, and 2 if
/// something cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Files, directories (every `.yaml`, `.yml` and `.json` below) and `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// More files and directories, used as facts and not judged
    #[arg(long, value_name = "PATH")]
    pub facts: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Refuse also what the webhook would silently change: for manifests that shall say what will run
    #[arg(long)]
    pub strict: bool,
    /// Say nothing but what is refused
    #[arg(short, long)]
    pub quiet: bool,
    /// How to write the verdicts
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub format: Format,
}

/// How verdicts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// One JSON document, for programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// `JUnit` XML, for the test reports of CI systems
    Junit,
}

/// What a command reads from and writes to.
#[expect(missing_debug_implementations, reason = "streams cannot be shown")]
pub struct Streams<'s> {
    /// Standard input.
    pub stdin: &'s mut dyn Read,
    /// Verdicts.
    pub stdout: &'s mut dyn Write,
    /// What concerns people even where a program reads the verdicts.
    pub stderr: &'s mut dyn Write,
    /// Whether verdicts for people are coloured.
    pub has_color: bool,
}

/// Judges the manifests and writes the verdicts.
///
/// # Errors
/// If the output cannot be written.
pub fn run(args: &Args, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let report = judge::judge(args, streams.stdin);
    let options = Options { is_strict: args.strict, is_quiet: args.quiet, has_color: streams.has_color };
    let text = match args.format {
        Format::Human => render::human(&report, options),
        Format::Json => render::json(&report)?,
        Format::Sarif => render::sarif(&report, options)?,
        Format::Junit => render::junit(&report, options),
    };
    if args.format != Format::Human {
        for problem in &report.problems {
            print(
                streams.stderr,
                format!("lockstep: {}\n", render::printable(&problem.to_string())).as_bytes(),
            )?;
        }
    }
    print(streams.stdout, text.as_bytes())?;
    Ok(report.exit(args.strict))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    const ADVERTISEMENT: &str = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n\
        metadata: {name: a, namespace: metallb-system}\nspec: {ipAddressPools: [default-pool]}\n";

    fn checked(arguments: &[&str], stdin: &str) -> (Exit, String, String) {
        let all = ["lockstep", "check"].iter().chain(arguments);
        let Command::Check(args) = Cli::parse_from(all).command else { panic!("another command") };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            stdin: &mut stdin.as_bytes(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            has_color: false,
        };
        let exit = run(&args, &mut streams).unwrap();
        (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        assert_eq!(checked(&["-"], "").0, Exit::Fine);
        assert_eq!(checked(&["-"], ADVERTISEMENT).0, Exit::Denied);
        assert_eq!(checked(&["-", "/no/such/file"], ADVERTISEMENT).0, Exit::Unusable);
    }

    #[test]
    fn input_without_anything_to_judge_is_told() {
        let (_, stdout, _) = checked(&["-"], "kind: Kustomization\n");
        assert!(
            stdout.starts_with("the input holds nothing that the rules are about\n0 objects judged"),
            "{stdout}"
        );
    }

    #[test]
    fn people_learn_of_problems_whatever_the_format() {
        for format in ["json", "sarif", "junit"] {
            let (_, stdout, stderr) = checked(&["--format", format, "-"], "a: [");
            assert_eq!(stderr, "lockstep: <stdin>:1:4: this is not valid YAML: unclosed bracket '['\n");
            assert!(stdout.contains("unclosed bracket"), "{stdout}");
        }
        let (_, stdout, stderr) = checked(&["-"], "a: [");
        assert_eq!(stderr, "");
        assert!(stdout.contains("error: this is not valid YAML"), "{stdout}");
    }

    #[test]
    fn an_output_that_cannot_be_written_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let Command::Check(args) = Cli::parse_from(["lockstep", "check", "-"]).command else { panic!() };
        let mut streams =
            Streams { stdin: &mut io::empty(), stdout: &mut Full, stderr: &mut io::sink(), has_color: false };
        assert_eq!(run(&args, &mut streams).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
