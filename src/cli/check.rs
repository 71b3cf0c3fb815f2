//! `lockstep check`: the webhook's verdicts on manifests, without a cluster.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::ValueEnum;

use super::Exit;
use super::check_report::{CheckReport, JudgedObject};
use super::output::{Streams, print};
use super::render::{self, Options};
use crate::admission::{self, Body};
use crate::assessment::Assessor;
use crate::election::AssumedVersion;
use crate::field::FieldPath;
use crate::manifests::{Candidate, Content, Document, ManifestError, Problem, add_assessed, load};
use crate::rules;
use crate::snapshot::{Inventory, Snapshot};
use crate::verdict::Verdict;

/// Check manifests as the webhook would
///
/// Every object of the input is judged, and verdicts take the others into account: the verdict on an `L2Advertisement`
/// depends on the topologies, pools, Services and Nodes beside it. Without a `GatewayTopology` in the input, the built-in
/// one is used: Istio's ingress gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`.
///
/// Objects are judged as if they were created. Deployments, StatefulSets, ReplicaSets, Jobs and CronJobs are judged by the
/// pods that they would create. A recorded `AdmissionReview` is judged as recorded.
///
/// After the verdicts, one line for each topology reports whether the client's source IP survives in the state that the
/// input describes; `lockstep explain` says more.
///
/// The exit code is 0 if nothing is rejected, 1 if an object is rejected or, with `--strict`, would be changed, and 2 if a
/// part of the input cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    /// Check these files and directories (`.yaml`, `.yml` and `.json` files at any depth); `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read more objects from this file or directory: verdicts take them into account, but they are not judged
    #[arg(long, value_name = "PATH")]
    facts: Vec<PathBuf>,
    /// Set the namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Reject objects that the webhook would change, so that the manifests are exactly what runs
    #[arg(long)]
    strict: bool,
    /// Print rejections only
    #[arg(short, long)]
    quiet: bool,
    /// Set the output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = CheckFormat::Human)]
    format: CheckFormat,
}

/// The output format of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Text for people
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// `JUnit` XML, for the test reports of CI systems
    Junit,
}

/// Checks the manifests and prints the verdicts.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn run(args: CheckArgs, streams: &mut Streams<'_>, has_color: bool) -> io::Result<Exit> {
    let CheckArgs { files, facts, namespace, strict, quiet, format } = args;
    let report = check(&files, &facts, &namespace, streams.stdin);
    let options = Options { is_strict: strict, is_quiet: quiet, has_color };
    let text = match format {
        CheckFormat::Human => render::human(&report, options),
        CheckFormat::Json => render::json(&report)?,
        CheckFormat::Sarif => render::sarif(&report, options)?,
        CheckFormat::Junit => render::junit(&report, options),
    };
    if format != CheckFormat::Human {
        // Problems go to standard error, too, for people who pass the verdicts to a program.
        for problem in &report.problems {
            let line = format!("lockstep: {}\n", render::printable(&problem.to_string()));
            print(streams.stderr, line.as_bytes())?;
        }
    }
    print(streams.stdout, text.as_bytes())?;
    Ok(report.exit(strict))
}

/// Reads the input, builds the snapshot, and judges every object of `files`.
fn check(files: &[PathBuf], facts: &[PathBuf], namespace: &str, stdin: &mut dyn Read) -> CheckReport {
    let facts = load(facts, stdin);
    let input = load(files, stdin);
    let mut report = CheckReport { problems: facts.problems, ..CheckReport::default() };
    report.problems.extend(input.problems);
    let mut inventory = Inventory::default();
    // An object of the input replaces one with the same name among the facts, because it is newer.
    read(&facts.documents, namespace, &mut inventory, &mut report.problems);
    let contents = read(&input.documents, namespace, &mut inventory, &mut report.problems);
    if report.problems.iter().any(Problem::hides_a_topology) {
        return report;
    }
    report.is_built_in = inventory.topologies.is_empty();
    inventory.infer_settings();
    let inventory = inventory.or_built_in();
    let AssumedVersion { version, .. } = AssumedVersion::detect(&inventory, |_| false);
    let snapshot = Snapshot::new(&inventory);
    report.topologies = Assessor::new(&inventory, &snapshot, version).topologies(None);
    for (document, content) in &contents {
        let judged = match content {
            Content::Candidate(candidate) => judge(document, candidate, &candidate.path, &snapshot),
            Content::Review => judge_recorded(document, &snapshot),
            Content::Topology { .. } | Content::Node { .. } | Content::Pool { .. } => continue,
        };
        match judged {
            Ok(judged) => report.judged.push(judged),
            Err(problem) => report.problems.push(problem),
        }
    }
    report
}

/// Decodes documents, and adds their objects to the inventory.
fn read<'d>(
    documents: &'d [Document],
    namespace: &str,
    inventory: &mut Inventory,
    problems: &mut Vec<Problem>,
) -> Vec<(&'d Document, Content)> {
    let mut contents = Vec::new();
    for document in documents {
        match Content::read(document, namespace) {
            Ok(content) => {
                if let Some(content) = content {
                    content.add_to(inventory);
                    contents.push((document, content));
                }
                match add_assessed(inventory, &document.value, namespace) {
                    Ok(added) => inventory.read.extend(added),
                    Err(error) => problems.push(document.problem(error)),
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    contents
}

/// Judges a candidate. `shown` is the root of the field paths in messages.
fn judge(
    document: &Document,
    candidate: &Candidate,
    shown: &FieldPath,
    snapshot: &Snapshot,
) -> Result<JudgedObject, Problem> {
    let verdict = both_phases(document, candidate, snapshot)
        .map_err(|error| Problem::at(&document.source, document.place(&candidate.path).mark, error))?;
    let title = [&candidate.kind, &candidate.namespace, &candidate.name].map(Clone::clone);
    Ok(JudgedObject::new(document, title, verdict, (&candidate.path, shown)))
}

/// Runs both phases as the API server does: the mutated object is validated.
fn both_phases(
    document: &Document,
    candidate: &Candidate,
    snapshot: &Snapshot,
) -> Result<Verdict, ManifestError> {
    let mut verdict = rules::mutate(&candidate.change, snapshot);
    if verdict.is_denied() {
        return Ok(verdict);
    }
    let validated = if verdict.edits.is_empty() {
        rules::validate(&candidate.change, snapshot)
    } else {
        let object = document.at(&candidate.path).unwrap_or(&document.value);
        let edited = admission::edited(object, &verdict.edits)
            .map_err(|error| ManifestError::Edit(error.to_string()))?;
        rules::validate(&candidate.edited(&edited)?, snapshot)
    };
    for finding in validated.findings {
        if !verdict.findings.contains(&finding) {
            verdict.findings.push(finding);
        }
    }
    if verdict.is_denied() {
        verdict.edits.clear();
    }
    Ok(verdict)
}

/// Judges the request of a recorded `AdmissionReview`, read by the webhook's own codec.
fn judge_recorded(document: &Document, snapshot: &Snapshot) -> Result<JudgedObject, Problem> {
    let rejected = |error: String| {
        let at = document.place(&FieldPath::fields(["request"]));
        Problem::at(&document.source, at.mark, ManifestError::Review(error))
    };
    let bytes = serde_json::to_vec(&document.value).map_err(|error| rejected(error.to_string()))?;
    let body = Body::new(&bytes);
    let request = admission::decode(&body).map_err(|error| rejected(error.to_string()))?;
    let [kind, namespace, name] = [request.kind, request.namespace, request.name].map(Cow::into_owned);
    // Messages have the paths of the user's object, not those of the review around it.
    let root = FieldPath::default();
    match request.change {
        Some(change) => {
            let path = FieldPath::fields(["request", "object"]);
            judge(document, &Candidate { kind, namespace, name, change, path }, &root, snapshot)
        }
        None => Ok(JudgedObject::new(document, [kind, namespace, name], Verdict::default(), (&root, &root))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    const ADVERTISEMENT: &str = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n\
        metadata: {name: a, namespace: metallb-system}\nspec: {ipAddressPools: [default-pool]}\n";

    fn checked(arguments: &[&str], stdin: &str) -> (Exit, String, String) {
        let all = ["lockstep", "check"].iter().chain(arguments);
        let Command::Check(args) = Cli::parse_from(all).command else { panic!("another command") };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams { stdin: &mut stdin.as_bytes(), stdout: &mut stdout, stderr: &mut stderr };
        let exit = run(args, &mut streams, false).unwrap();
        (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        assert_eq!(checked(&["-"], "").0, Exit::Fine);
        assert_eq!(checked(&["-"], ADVERTISEMENT).0, Exit::Denied);
        assert_eq!(checked(&["-", "/no/such/file"], ADVERTISEMENT).0, Exit::Unusable);
    }

    #[test]
    fn input_without_anything_to_judge_is_reported() {
        let (_, stdout, _) = checked(&["-"], "kind: Kustomization\n");
        assert!(
            stdout.starts_with("no object in the input is of a kind that Lockstep judges\n0 objects judged"),
            "{stdout}"
        );
    }

    #[test]
    fn problems_are_printed_for_people_in_every_format() {
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
        let mut streams = Streams { stdin: &mut io::empty(), stdout: &mut Full, stderr: &mut io::sink() };
        assert_eq!(run(args, &mut streams, false).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
