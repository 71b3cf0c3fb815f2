//! `lockstep check`: the webhook's verdicts on manifests, without a cluster.

mod input;
mod pruning;
pub(super) mod remark;
mod stated;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use clap_complete::ArgValueCandidates;
use k8s_openapi::jiff::Timestamp;

use self::input::{Held, Input, Judged, Reading, parse_again};
use self::remark::{Remark, RemarkCode, RemarkLevel};
use super::check_report::{CheckReport, JudgedObject, ReportedTopology};
use super::cluster_args::ClusterArgs;
use super::completions;
use super::output::{Streams, print};
use super::progress::Progress;
use super::render::{self, Options};
use super::{CheckedText, Exit};
use crate::admission::{self, Body};
use crate::assessment::{Assessor, TopologyAssessment};
use crate::change::Operation;
use crate::cluster::state::{self, ClusterState, JudgedObjects, Unread};
use crate::election::AssumedVersion;
use crate::field::FieldPath;
use crate::manifests::{
    Candidate, Content, Document, ManifestError, Problem, STDIN, Selection, load_selected,
};
use crate::reach::{self, Miss};
use crate::rules;
use crate::snapshot::{KnownState, Snapshot};
use crate::topology::{Enforcement, GatewayTopologySpec};
use crate::verdict::Verdict;

/// Check manifests as the webhook would
///
/// Every object of the input is judged, and verdicts take the others into account: the verdict on an `L2Advertisement`
/// depends on the topologies, pools, Services and Nodes beside it. Without a `GatewayTopology` in the input, the built-in
/// one is used: Istio's ingress gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`.
///
/// Objects are judged as if they were created. An object with a pod template, such as a Deployment, a CronJob or a Rollout,
/// is judged by the pods that it would create. A recorded `AdmissionReview` is judged as recorded.
///
/// With `--cluster` and without a file, the objects of the cluster are judged: what would be rejected today, if it were created again.
/// With `--enforce`, that includes what topologies only warn of or record, so that you see it before you enforce them.
///
/// Sources that must be rendered first are not judged: Helm charts, what a kustomization changes, and objects with variables such as
/// `${NAME}`. A note names each such folder, and the command that renders it. Warnings name what looks as if it should be
/// guarded and is not, and fields that do nothing.
///
/// After the verdicts, each topology is reported: what it covers, and whether the client's source IP survives in the state
/// that the input describes; `lockstep explain` says more.
///
/// The exit code is 0 if nothing is rejected, 1 if an object is rejected or, with `--strict`, would be changed, or if a
/// topology covers nothing with `--require-match`, and 2 if a part of the input cannot be read or there is no object in it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    /// Check these files and directories (`.yaml`, `.yml` and `.json` files at any depth); `-` reads standard input
    #[arg(required_unless_present_any = ["filename", "cluster_root", "cluster"], value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check this file or directory, too, as with kubectl
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Read more objects from this file or directory: verdicts take them into account, but they are not judged
    #[arg(long, value_name = "PATH")]
    facts: Vec<PathBuf>,
    /// Read more objects from the cluster, with your own rights: verdicts take them into account, but they are not judged unless no
    /// file is named
    #[arg(long)]
    cluster: bool,
    /// Judge as if every topology enforced every rule; exceptions still count
    #[arg(long)]
    enforce: bool,
    #[command(flatten)]
    connection: ClusterArgs,
    /// Check this directory as a cluster of its own; `--facts` apply to every cluster
    #[arg(long, value_name = "DIR")]
    cluster_root: Vec<PathBuf>,
    /// Accepted as with kubectl: directories are always read at any depth
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Accepted as with kubectl: every namespace is always read
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Leave out the files and directories that this glob matches, as in `.gitignore`
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Leave out what `.gitignore` names
    #[arg(long)]
    gitignore: bool,
    /// Set the namespace of objects that name none
    #[arg(short, long, default_value = "default", add = ArgValueCandidates::new(completions::namespaces))]
    namespace: String,
    /// Reject objects that the webhook would change, so that the manifests are exactly what runs
    #[arg(long)]
    strict: bool,
    /// Fail if a topology covers no object of the input
    #[arg(long)]
    require_match: bool,
    /// Accept an input without any object
    #[arg(long)]
    allow_empty: bool,
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
    /// Workflow commands of GitHub Actions, which annotate the lines of a pull request
    Github,
    /// Markdown, for comments on pull requests
    Markdown,
    /// One HTML file for a browser or a printer
    Html,
}

/// Checks the manifests and prints the verdicts.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn run(args: CheckArgs, streams: &mut Streams<'_>, has_color: bool) -> io::Result<Exit> {
    let CheckArgs {
        files,
        filename,
        facts,
        cluster,
        enforce,
        connection,
        cluster_root,
        // There is nothing to turn on.
        recursive: _,
        all_namespaces: _,
        exclude,
        gitignore,
        namespace,
        strict,
        require_match,
        allow_empty,
        quiet,
        format,
    } = args;
    let selection = Selection {
        excluded: exclude,
        has_gitignore: gitignore,
        leaves_out_sources: true,
        left_to_others: Vec::new(),
    };
    if let Err(error) = selection.check() {
        print(streams.stderr, format!("lockstep: {}\n", render::printable(&error)).as_bytes())?;
        return Ok(Exit::Unusable);
    }
    let files: Vec<PathBuf> = files.into_iter().chain(filename).collect();
    let judges_cluster = files.is_empty() && cluster_root.is_empty();
    let wanted = Wanted { is_wanted: cluster, judges: judges_cluster, facts: &facts, namespace: &namespace };
    let live = match read_cluster(wanted, &connection, streams.stderr)? {
        Ok(live) => live,
        Err(error) => {
            print(streams.stderr, format!("lockstep: {}\n", render::printable(&error)).as_bytes())?;
            return Ok(Exit::Unusable);
        }
    };
    let run = Check {
        facts,
        live,
        namespace,
        selection,
        requires_match: require_match,
        // A cluster without a gateway has nothing to reject.
        allows_empty: allow_empty || judges_cluster,
        enforces: enforce,
    };
    let mut progress = Progress::new(streams.stderr, io::stderr().is_terminal());
    let report = run.check_all(&files, &cluster_root, streams.stdin, &mut progress);
    progress.clear();
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let options = Options { is_strict: strict, is_quiet: quiet, has_color, width };
    let text = format.render(&report, options)?;
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

impl CheckFormat {
    fn render(self, report: &CheckReport, options: Options) -> serde_json::Result<String> {
        Ok(match self {
            Self::Human => render::human(report, options),
            Self::Json => render::json(report)?,
            Self::Sarif => render::sarif(report, options)?,
            Self::Junit => render::junit(report, options),
            Self::Github => render::github(report, options),
            Self::Markdown => render::markdown(report, options),
            Self::Html => render::html(report, options),
        })
    }
}

/// Checks a text and renders the report in every format, as [`run`] does in one.
///
/// # Errors
/// If a format cannot be written.
pub(super) fn run_every_format(mut text: &[u8], options: Options) -> io::Result<CheckedText> {
    let report =
        Check::default().check_all(&["-".into()], &[], &mut text, &mut Progress::new(&mut io::sink(), false));
    let mut outputs = Vec::new();
    for format in CheckFormat::value_variants() {
        let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        outputs.push((name, format.render(&report, options)?));
    }
    let exit = report.exit(options.is_strict).code();
    Ok(CheckedText { exit, judged: report.judged.len(), outputs })
}

/// Checks a file or folder and renders the report for people.
///
/// # Errors
/// If the report cannot be written.
pub(super) fn run_on_path(path: &Path) -> io::Result<Exit> {
    let mut sink = io::sink();
    let mut progress = Progress::new(&mut sink, false);
    let report = Check::default().check_all(&[path.to_owned()], &[], &mut io::empty(), &mut progress);
    CheckFormat::Human.render(&report, Options::default())?;
    Ok(report.exit(false))
}

/// The part of a cluster to read.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    is_wanted: bool,
    /// Whether its objects are judged.
    judges: bool,
    /// The facts. The cluster may lack their topologies.
    facts: &'w [PathBuf],
    /// The namespace of facts that name none.
    namespace: &'w str,
}

/// A cluster that was read.
struct Live {
    state: ClusterState,
    /// The objects to judge; `None` if files are judged.
    judged: Option<JudgedObjects>,
}

/// The topologies in these files and folders. What is wrong with them is reported when they are read as facts.
fn topologies_of(facts: &[PathBuf], namespace: &str) -> Vec<GatewayTopologySpec> {
    let mut topologies = Vec::new();
    let files: Vec<PathBuf> = facts.iter().filter(|path| path.as_os_str() != "-").cloned().collect();
    load_selected(&files, &Selection::default(), &mut io::empty(), &mut |document| {
        if let Ok(Some(Content::Topology { declared, .. })) = Content::read(&document, namespace) {
            topologies.push(declared.spec);
        }
    });
    topologies
}

/// Reads the cluster, if that is asked for. The inner error is a sentence for people.
fn read_cluster(
    wanted: Wanted<'_>,
    connection: &ClusterArgs,
    stderr: &mut dyn io::Write,
) -> io::Result<Result<Option<Live>, String>> {
    let Wanted { is_wanted, judges, facts, namespace } = wanted;
    if !(is_wanted || connection.is_given()) {
        return Ok(Ok(None));
    }
    let mut progress = Progress::new(stderr, io::stderr().is_terminal());
    progress.show_now("reading the cluster");
    let declared = topologies_of(facts, namespace);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = runtime.block_on(async {
        let client = connection.connect().await.map_err(|error| error.to_string())?;
        let also: Vec<&GatewayTopologySpec> = declared.iter().collect();
        let state = state::read(client.clone(), None, &also).await.map_err(|error| error.to_string())?;
        if !judges {
            return Ok(Live { state, judged: None });
        }
        let built_in = GatewayTopologySpec::default();
        let held = state.inventory.topologies.values().map(|declared| &declared.spec);
        let all: Vec<&GatewayTopologySpec> = held.chain(also).collect();
        let all = if all.is_empty() { vec![&built_in] } else { all };
        let judged = state::judged(&client, all.into_iter()).await.map_err(|error| error.to_string())?;
        Ok(Live { state, judged: Some(judged) })
    });
    progress.clear();
    Ok(read.map(Some))
}

/// The settings of a check.
struct Check {
    facts: Vec<PathBuf>,
    live: Option<Live>,
    namespace: String,
    selection: Selection,
    requires_match: bool,
    allows_empty: bool,
    /// Whether topologies count as if they enforced every rule.
    enforces: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            facts: Vec::new(),
            live: None,
            namespace: "default".to_owned(),
            selection: Selection::default(),
            requires_match: false,
            allows_empty: false,
            enforces: false,
        }
    }
}

impl Check {
    /// Checks each cluster by itself: each of `roots`, and the rest of the files.
    fn check_all(
        &self,
        files: &[PathBuf],
        roots: &[PathBuf],
        stdin: &mut dyn Read,
        progress: &mut Progress<'_>,
    ) -> CheckReport {
        if roots.is_empty() {
            return self.check(files, &self.selection, None, stdin, progress);
        }
        // Every cluster has the facts, and standard input may be among them.
        let mut text = Vec::new();
        if files.iter().chain(&self.facts).any(|path| path.as_os_str() == "-") {
            // Reading it again from memory reports the error.
            let _ = stdin.read_to_end(&mut text);
        }
        let mut report = CheckReport::default();
        for root in roots {
            let name = root.display().to_string();
            let files = std::slice::from_ref(root);
            report.absorb(self.check(files, &self.selection, Some(&name), &mut text.as_slice(), progress));
        }
        if !files.is_empty() {
            let selection = Selection { left_to_others: roots.to_vec(), ..self.selection.clone() };
            report.absorb(self.check(files, &selection, None, &mut text.as_slice(), progress));
        }
        report
    }

    /// Reads the input, builds the snapshot, and judges every object of `files`.
    fn check(
        &self,
        files: &[PathBuf],
        selection: &Selection,
        cluster: Option<&str>,
        stdin: &mut dyn Read,
        progress: &mut Progress<'_>,
    ) -> CheckReport {
        let mut input = Input::default();
        if let Some(Live { state, .. }) = &self.live {
            input.inventory = state.inventory.clone();
            input.remarks.extend(state.unread.iter().map(not_listed));
        }
        let namespace = &self.namespace;
        let reading = |is_facts| Reading { namespace, is_facts };
        let every_file = Selection::default();
        input.read(&self.facts, &every_file, stdin, reading(true), progress);
        match self.live.as_ref().and_then(|live| live.judged.as_ref()) {
            Some(judged) => {
                input.remarks.extend(judged.refused.iter().map(|what| not_judged_list(what)));
                input.read_text("cluster", judged.text.as_bytes(), reading(false), progress);
            }
            None => input.read(files, selection, stdin, reading(false), progress),
        }
        input.finish(namespace);
        let mut report = CheckReport::default();
        if input.objects == 0 && input.problems.is_empty() && !self.allows_empty {
            let [file, ..] = files else { return report };
            let name = if file.as_os_str() == "-" { STDIN.to_owned() } else { file.display().to_string() };
            let is_left_out = input.remarks.iter().any(|remark| remark.code == RemarkCode::NotRendered);
            let error = if is_left_out { ManifestError::OnlySources } else { ManifestError::NoObject };
            input.problems.push(Problem::of_file(name, error));
        }
        let Input { mut inventory, held, problems, remarks, stated, .. } = input;
        report.problems = problems;
        report.remarks = remarks;
        if report.problems.iter().any(Problem::hides_a_topology) {
            return report;
        }
        let is_built_in = inventory.topologies.is_empty();
        if self.enforces {
            for declared in inventory.topologies.values_mut() {
                declared.spec.enforcement = Enforcement::Enforce;
                declared.spec.enforcement_by_rule.clear();
            }
        }
        inventory.infer_settings();
        let inventory = Arc::new(inventory.or_built_in());
        let AssumedVersion { version, .. } = AssumedVersion::detect(&inventory, |plural| {
            self.live.as_ref().is_some_and(|live| live.state.metallb_kinds.contains(plural))
        });
        let snapshot = Snapshot::new(&inventory);
        let assessor = Assessor::new(&inventory, &snapshot, version);
        let states = assessor.topologies(None);
        // A state in which nothing is wrong is no worse than any other, and the state without each object costs an assessment.
        let is_flawless = states.iter().all(TopologyAssessment::is_flawless) && !assessor.has_choices();
        for (state, reach) in states.into_iter().zip(reach::reach(&inventory, &snapshot)) {
            let is_needed =
                self.requires_match || !is_built_in || held.iter().any(|held| held.is_of_a_gateway);
            if reach.is_empty() && is_needed {
                let remark = self.no_match(&reach.topology, is_built_in);
                let place = stated.place("lockstep.dev", "GatewayTopology", "", &reach.topology);
                report.remarks.push(match place {
                    Some((source, mark)) => remark.at(source, mark),
                    None => remark,
                });
            }
            report.topologies.push(ReportedTopology {
                cluster: cluster.map(str::to_owned),
                is_built_in,
                reach,
                state,
            });
        }
        let kinds = self.live.as_ref().map(|live| live.state.metallb_kinds.clone());
        let state = KnownState {
            inventory: Arc::clone(&inventory),
            metallb_kinds: Arc::new(kinds.unwrap_or_default()),
        };
        let whole = snapshot.clone().with_state(Some(state));
        let snapshots = (if is_flawless { &snapshot } else { &whole }, &whole);
        judge_all(&held, namespace, snapshots, &mut report, progress);
        for miss in reach::misses(&inventory, &snapshot) {
            let group = if miss.kind == "GatewayTopology" { "lockstep.dev" } else { group_of(&miss.kind) };
            let Miss { kind, object, .. } = &miss;
            let place = stated.place(group, kind, &object.namespace, &object.name);
            let place = place.map(|(source, mark)| (Arc::clone(source), mark));
            let remark = Remark::missed(miss);
            report.remarks.push(match place {
                Some((source, mark)) => remark.at(&source, mark),
                None => remark,
            });
        }
        report
    }

    fn no_match(&self, topology: &str, is_built_in: bool) -> Remark {
        let level = if self.requires_match { RemarkLevel::Error } else { RemarkLevel::Warning };
        let (name, help) = if is_built_in {
            ("the built-in topology", "add the GatewayTopology of your gateway to the input")
        } else {
            (
                "topology",
                "correct `spec.gateway`, `spec.addressPools` and `spec.metallbNamespace`, or add the objects of the gateway",
            )
        };
        let message = format!(
            "{name} `{}` covers no pod, no Service and no advertisement of the input: nothing is guarded by it",
            lockstep_core::escape::excerpt(topology)
        );
        Remark::new(RemarkCode::NoMatch, level, message, help)
    }
}

/// A list of the cluster whose objects could not be judged.
fn not_judged_list(what: &str) -> Remark {
    Remark::new(
        RemarkCode::Unread,
        RemarkLevel::Warning,
        format!("{what} could not be read from the cluster, so these objects are not judged"),
        "use an account that may list them",
    )
}

/// A list of the cluster that could not be read.
fn not_listed(unread: &Unread) -> Remark {
    let Unread { source, namespace, .. } = unread;
    let place = namespace.as_ref().map(|name| format!(" in namespace `{name}`")).unwrap_or_default();
    let message = format!(
        "`{source}`{place} could not be read from the cluster: verdicts do not take them into account"
    );
    Remark::new(
        RemarkCode::Unread,
        RemarkLevel::Warning,
        message,
        "`lockstep explain` prints the rule that grants it",
    )
}

/// The API group of a kind that topologies miss. Workloads of any other group are found without it.
fn group_of(kind: &str) -> &'static str {
    match kind {
        "L2Advertisement" | "BGPAdvertisement" | "IPAddressPool" => "metallb.io",
        "Service" | "Pod" | "ReplicationController" => "",
        "Job" | "CronJob" => "batch",
        _ => "apps",
    }
}

/// Judges every object, in the order of the input: manifests by `snapshot`, recorded requests by `whole`, which also has the state.
fn judge_all(
    held: &[Held],
    namespace: &str,
    (snapshot, whole): (&Snapshot, &Snapshot),
    report: &mut CheckReport,
    progress: &mut Progress<'_>,
) {
    let now = Timestamp::now();
    let (mut done, all) = (0_usize, held.len());
    report.judged.reserve(all);
    parse_again(held, &mut |held, document| {
        progress.show(|| format!("judging: {done} of {all} objects"));
        done = done.saturating_add(1);
        let root = FieldPath::default();
        let result = match &held.what {
            Judged::Pruned(candidate) => judge(document, candidate, &candidate.path, snapshot),
            Judged::Review => judge_recorded(document, whole, &root),
            Judged::Object => match Content::of(&document.value, namespace) {
                Ok(Some(Content::Candidate(mut candidate))) => {
                    candidate.change.time = Some(now);
                    judge(document, &candidate, &candidate.path, snapshot)
                }
                // It was a candidate when it was read for the first time.
                Ok(_) => return,
                Err(error) => Err(document.problem(error)),
            },
        };
        match result {
            Ok(object) => report.judged.push(object),
            Err(problem) => report.problems.push(problem),
        }
    });
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
fn judge_recorded(
    document: &Document,
    snapshot: &Snapshot,
    root: &FieldPath,
) -> Result<JudgedObject, Problem> {
    let rejected = |error: String| {
        let at = document.place(&FieldPath::fields(["request"]));
        Problem::at(&document.source, at.mark, ManifestError::Review(error))
    };
    let bytes = serde_json::to_vec(&document.value).map_err(|error| rejected(error.to_string()))?;
    let body = Body::new(&bytes);
    let request = admission::decode(&body).map_err(|error| rejected(error.to_string()))?;
    let [kind, namespace, name] = [request.kind, request.namespace, request.name].map(Cow::into_owned);
    // Messages have the paths of the user's object, not those of the review around it.
    match request.change {
        Some(change) => {
            let field = if change.operation == Operation::Delete { "oldObject" } else { "object" };
            let path = FieldPath::fields(["request", field]);
            let change = change.at(Timestamp::now());
            judge(document, &Candidate { kind, namespace, name, change, path }, root, snapshot)
        }
        None => Ok(JudgedObject::new(document, [kind, namespace, name], Verdict::default(), (root, root))),
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
        assert_eq!(checked(&["-"], "").0, Exit::Unusable);
        assert_eq!(checked(&["--allow-empty", "-"], "").0, Exit::Fine);
        assert_eq!(checked(&["-"], "apiVersion: v1\nkind: ConfigMap\n").0, Exit::Fine);
        assert_eq!(checked(&["-"], ADVERTISEMENT).0, Exit::Denied);
        assert_eq!(checked(&["-", "/no/such/file"], ADVERTISEMENT).0, Exit::Unusable);
    }

    #[test]
    fn input_without_anything_to_judge_is_reported() {
        let (_, stdout, _) = checked(&["-"], "apiVersion: v1\nkind: ConfigMap\n");
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
