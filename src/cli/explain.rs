//! `lockstep explain`: what becomes of the client's address at each address of the gateway, and why.

pub(super) mod html;
mod human;
mod json;
mod mermaid;
mod origin;
mod probe;
mod watch;
mod what_if;

use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use clap_complete::ArgValueCandidates;
use maud::Markup;

use super::cluster_args::ClusterArgs;
use super::completions;
use super::output::{Streams, json_document, print};
use super::{Exit, render};
use crate::assessment::{Assessment, NodeScope, Outcome, ServiceAssessment, TopologyAssessment};
use crate::election::{AssumedVersion, MetalLbVersion};
use crate::snapshot::Inventory;
use origin::Origin;
pub(super) use origin::Reading;
use probe::Probes;
use what_if::Change;

/// Explain whether the client's source IP survives, and if not, why
///
/// Replays MetalLB's own decision which node announces each address of the gateway's Services, from the objects of a
/// cluster: topologies, nodes, Services with their status, `EndpointSlices`, pods, and MetalLB's pools and
/// advertisements. They are read from the cluster, with your own rights, or with `-f` from manifests, which
/// `kubectl get -o yaml` writes. A kind that you may not list, or that the input does not have, is unknown: an outcome
/// that takes it is Unknown, and the others are assessed without it. For a missing right the output has the RBAC rule
/// that grants it.
///
/// From the gateway's Deployment, `StatefulSet` or `DaemonSet` and its `PodDisruptionBudgets` it finds whether one drain,
/// one rollout or one crash stops every gateway pod. No outcome takes these kinds.
///
/// The first line of each address says what becomes of it: Preserved, Fragile (one step ends it), Lost (the gateway sees
/// another address), Silent (no node announces it) or Unknown. What mends it follows.
///
/// With `--with`, `--without`, `--label-node` and `--fail-node` the command shows the state as it would be after these
/// changes, and each outcome before and after. Nothing is changed. The changes are applied in this order. MetalLB's controller
/// and the scheduler are not replayed: addresses stay, unless a Service asks for others or no longer agrees with those
/// that share its address, and pods stay where they run.
///
/// With `--probe` the command asks each listed node's kube-proxy how many ready endpoints of the Service run on its node, and
/// shows where the answer contradicts the `EndpointSlices`. It takes an `InternalIP` of the nodes, and a network in which they can
/// be reached. No outcome and no exit code takes the answers.
///
/// With `-o html` the command writes one file for a browser or a printer: the verdict, a map of each Service, every node with its
/// reason, and what mends it. The file loads nothing from elsewhere and has no script.
///
/// The exit code is 0 if the client's source IP survives at every address, 1 if at one it does not or there is none, and
/// 2 if something cannot be read or is Unknown. With changes, it is that of the state after them.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExplainArgs {
    /// Only this topology, Service (`NAME` or `NAMESPACE/NAME`) or IP address
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Read manifests instead of the cluster: a file, a directory (every `.yaml`, `.yml` and `.json` below) or `-` for
    /// standard input; may be repeated
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    filename: Vec<PathBuf>,
    /// The namespace of objects in files that name none, by default `default`; from a cluster also that of a Service which
    /// TARGET names without one, by default any
    #[arg(short, long, add = ArgValueCandidates::new(completions::namespaces))]
    namespace: Option<String>,
    /// Accepted as with kubectl: every gateway is explained, in whichever namespace it is
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The MetalLB version whose decision is replayed; by default that of the speaker pods' image, else
    /// that of the kinds that the cluster serves, else the newest
    #[arg(long, value_enum, value_name = "VERSION")]
    metallb: Option<Version>,
    /// Follow the cluster: print again whenever what is printed changes, until Ctrl-C, and exit with 0
    #[arg(short, long, conflicts_with = "filename")]
    watch: bool,
    /// Ask kube-proxy on each listed node for its local endpoints of each Service with `externalTrafficPolicy: Local`
    ///
    /// The request is `GET http://NODE:PORT/healthz`, with the node's `InternalIP` and the Service's `healthCheckNodePort`. It
    /// bypasses proxies, and a node has 2 s to answer. With `-o wide` and `-o html` every listed node is asked, which is every node
    /// of all but the largest clusters.
    #[arg(long, conflicts_with_all = ["watch", "with", "without", "label_node", "fail_node"])]
    probe: bool,
    #[command(flatten)]
    what_if: what_if::WhatIfArgs,
    /// The output format
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
}

/// A MetalLB version, as a flag names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Version {
    /// MetalLB 0.13.5
    #[value(name = "0.13.5")]
    Oldest,
    /// MetalLB 0.15.2
    #[value(name = "0.15.2")]
    Middle,
    /// MetalLB 0.16.2
    #[value(name = "0.16.2")]
    Newest,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people: the nodes that matter
    Human,
    /// For people: every node, and more about each
    Wide,
    /// One JSON document, for programs
    Json,
    /// A Mermaid flowchart, for documents and issues
    Mermaid,
    /// One HTML file for a browser or a printer: every node, unless nodes times Services are more than 200,000
    Html,
}

impl From<Version> for MetalLbVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::Oldest => Self::V0_13_5,
            Version::Middle => Self::V0_15_2,
            Version::Newest => Self::V0_16_2,
        }
    }
}

/// Explains the state of the cluster, or the one that manifests describe.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn run(args: &ExplainArgs, streams: &mut Streams<'_>, has_color: bool) -> io::Result<Exit> {
    let namespace = args.namespace.as_deref().unwrap_or("default");
    let changes = match args.what_if.load(namespace, streams.stdin) {
        Ok(changes) => changes,
        Err(problems) => return unusable(&problems, streams),
    };
    let is_live = args.filename.is_empty();
    if is_live && args.namespace.is_some() && args.target.is_none() && !args.what_if.has_files() {
        let problem = "`--namespace` says where the Service of TARGET is, and it limits nothing else: name a Service, or \
            leave the flag out";
        return unusable(&[problem.to_owned()], streams);
    }
    if args.probe && matches!(args.format, Format::Mermaid) {
        let problem =
            "`--probe` shows nothing in a flowchart: use `-o human`, `-o wide` or `-o json`, or leave it out";
        return unusable(&[problem.to_owned()], streams);
    }
    if args.watch && matches!(args.format, Format::Html) {
        let problem = "`--watch` would print one page after another: `lockstep dashboard` shows one that follows the cluster";
        return unusable(&[problem.to_owned()], streams);
    }
    if args.watch {
        return watch::run(args, &changes, streams, has_color);
    }
    match origin::read(args, &changes, streams.stdin)? {
        Ok(reading) => {
            let Explanation { text, warnings, exit } = explain(args, &changes, reading, has_color)?;
            warn(&warnings, streams)?;
            print(streams.stdout, text.as_bytes())?;
            Ok(exit)
        }
        Err(problem) => unusable(&[problem], streams),
    }
}

fn unusable(problems: &[String], streams: &mut Streams<'_>) -> io::Result<Exit> {
    warn(problems, streams)?;
    Ok(Exit::Unusable)
}

fn warn(warnings: &[String], streams: &mut Streams<'_>) -> io::Result<()> {
    let mut lines = warnings.iter().map(|words| format!("lockstep: {}\n", render::printable(words)));
    lines.try_for_each(|line| print(streams.stderr, line.as_bytes()))
}

/// The text and the warnings to print about a reading.
#[derive(Debug, PartialEq)]
struct Explanation {
    /// For standard output; empty if there is nothing to explain.
    text: String,
    /// For standard error.
    warnings: Vec<String>,
    exit: Exit,
}

/// Assesses what was read, and after the changes, and writes it.
///
/// # Errors
/// If the document cannot be written as JSON.
fn explain(
    args: &ExplainArgs,
    changes: &[Change],
    reading: Reading,
    has_color: bool,
) -> io::Result<Explanation> {
    let has_problems = !reading.problems.is_empty();
    let question = Question {
        target: args.target.as_deref(),
        namespace: args.namespace.as_deref().filter(|_| args.filename.is_empty()),
        metallb: args.metallb,
        nodes: match args.format {
            Format::Human | Format::Json | Format::Mermaid => Nodes::Relevant,
            Format::Wide => Nodes::Every,
            Format::Html => Nodes::EveryUpToALimit,
        },
        changes,
    };
    let (mut explained, warnings) = match question.answer(reading) {
        Ok(answer) => answer,
        Err(warnings) => return Ok(Explanation { text: String::new(), warnings, exit: Exit::Unusable }),
    };
    if args.probe {
        explained.probes = Some(Probes::ask(&explained.assessment)?);
    }
    let text = match args.format {
        Format::Human | Format::Wide => {
            let is_wide = matches!(args.format, Format::Wide);
            human::text(&explained, human::Style { has_color, is_wide })
        }
        Format::Mermaid => mermaid::text(&explained),
        Format::Html => html::page(&explained, &warnings, None).document(Markup::default(), None),
        Format::Json => json_document(&json::document(&explained))?,
    };
    let exit = if has_problems { Exit::Unusable } else { exit(&explained.assessment) };
    Ok(Explanation { text, warnings, exit })
}

/// The nodes to list for each Service.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nodes {
    Relevant,
    Every,
    /// Every node, unless there are so many that only a program would read them.
    EveryUpToALimit,
}

impl Nodes {
    /// The most pairs of a node and a Service for which every node is listed. Each takes some hundred bytes of memory.
    const LIMIT: usize = 200_000;

    fn scope(self, inventory: &Inventory) -> NodeScope {
        let pairs = inventory.nodes.len().saturating_mul(inventory.load_balancers.len());
        match self {
            Self::Every => NodeScope::Every,
            Self::EveryUpToALimit if pairs <= Self::LIMIT => NodeScope::Every,
            Self::EveryUpToALimit | Self::Relevant => NodeScope::Relevant,
        }
    }
}

/// What to explain of a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'q> {
    /// A topology, a Service or an address; everything without one.
    pub(super) target: Option<&'q str>,
    /// The namespace of a Service that the target names without one.
    pub(super) namespace: Option<&'q str>,
    pub(super) metallb: Option<Version>,
    pub(super) nodes: Nodes,
    pub(super) changes: &'q [Change],
}

impl Question<'_> {
    /// Assesses what was read, and after the changes. Returns the warnings, too.
    ///
    /// # Errors
    /// The warnings alone, if there is nothing to explain.
    pub(super) fn answer(&self, reading: Reading) -> Result<(Explained, Vec<String>), Vec<String>> {
        let mut warnings = reading.problems.clone();
        warnings.extend(reading.warning().map(str::to_owned));
        let supposed = match what_if::apply(self.changes, &reading.inventory) {
            Ok(supposed) => supposed,
            Err(problems) => {
                warnings.extend(problems);
                return Err(warnings);
            }
        };
        // A change of the speaker pods may change the version, too.
        let assumed = |inventory: &Inventory| match self.metallb {
            Some(version) => AssumedVersion::given(version.into()),
            None => reading.detect(inventory),
        };
        let before = assumed(&reading.inventory);
        let after = supposed.as_ref().map_or_else(|| before.clone(), |supposed| assumed(&supposed.inventory));
        let is_live = reading.is_live();
        let (inventory, origin) = reading.split(after.basis);
        let is_built_in = inventory.topologies.is_empty();
        let nodes = self.nodes.scope(&inventory);
        let now = Assessment::explain(&inventory.or_built_in(), before.version, nodes);
        let mut explained = match supposed {
            None => Explained { assessment: now, origin, before: None, changes: Vec::new(), probes: None },
            Some(what_if::Supposed { inventory, changes }) => {
                let inventory = if is_built_in { inventory.or_built_in() } else { inventory };
                let assessment = Assessment::foresee(&inventory, after.version, nodes);
                Explained { assessment, origin, before: Some(now), changes, probes: None }
            }
        };
        if let Some(target) = self.target
            && !explained.select(target, self.namespace)
        {
            warnings
                .push(format!("no topology, Service or address `{target}` in {}", explained.origin.place()));
            // It may be there, and not be seen.
            if is_live {
                warnings.extend(explained.origin.unread_lines(&explained.assessment));
            }
            return Err(warnings);
        }
        Ok((explained, warnings))
    }
}

/// The state to explain, with its origin.
pub(super) struct Explained {
    /// The state, or with what-if the state after the changes.
    assessment: Assessment,
    /// Where the objects come from, and why this version's decision was replayed.
    origin: Origin,
    /// The state before the changes of a what-if.
    before: Option<Assessment>,
    /// The changes of a what-if in words.
    changes: Vec<String>,
    /// The answers of the nodes, if they were asked.
    probes: Option<Probes>,
}

impl Explained {
    /// Leaves nothing but what was asked for. Whether there is such a thing, before or after.
    fn select(&mut self, target: &str, namespace: Option<&str>) -> bool {
        let is_before = self.before.as_mut().is_some_and(|before| select(before, target, namespace));
        select(&mut self.assessment, target, namespace) || is_before
    }
}

/// Leaves nothing but what was asked for. Whether there is such a thing. A namespace is that of a Service by its name alone.
fn select(assessment: &mut Assessment, target: &str, namespace: Option<&str>) -> bool {
    if assessment.topologies.iter().any(|topology| *topology.name == *target) {
        assessment.topologies.retain(|topology| *topology.name == *target);
        return true;
    }
    let address = target.parse::<std::net::IpAddr>().ok().map(|address| address.to_canonical().to_string());
    for topology in &mut assessment.topologies {
        for service in &mut topology.services {
            let is_in = namespace.is_none_or(|namespace| service.key.namespace == namespace);
            let is_named = service.key.name == target && is_in || service_name(service) == target;
            service.addresses.retain(|held| is_named || held.address.is_some() && held.address == address);
        }
        topology.services.retain(|service| !service.addresses.is_empty());
    }
    assessment.topologies.retain(|topology| !topology.services.is_empty());
    !assessment.topologies.is_empty()
}

fn service_name(service: &ServiceAssessment) -> String {
    format!("{}/{}", service.key.namespace, service.key.name)
}

fn outcomes(assessment: &Assessment) -> impl Iterator<Item = &Outcome> {
    let services = assessment.topologies.iter().flat_map(|topology| &topology.services);
    services.flat_map(|service| &service.addresses).map(|address| &address.outcome)
}

/// The worst of all outcomes. A topology without any Service is not preserved, nor is a state without a topology: nothing was
/// there to look at.
fn exit(assessment: &Assessment) -> Exit {
    let is_unknown = |topology: &TopologyAssessment| topology.unread.is_some();
    if outcomes(assessment).any(|outcome| matches!(outcome, Outcome::Unknown(_)))
        || assessment.topologies.iter().any(is_unknown)
    {
        return Exit::Unusable;
    }
    let is_bad = |outcome: &Outcome| matches!(outcome, Outcome::Lost(_) | Outcome::Silent(_));
    let has_nothing = assessment.topologies.is_empty()
        || assessment.topologies.iter().any(|topology| topology.services.is_empty());
    if has_nothing || outcomes(assessment).any(is_bad) { Exit::Denied } else { Exit::Fine }
}
