//! `lockstep explain`: what becomes of the client's address at each address of the gateway, and why.

mod human;
mod json;
mod what_if;

use std::io;
use std::path::PathBuf;

use clap::ValueEnum;

use super::output::{Streams, json_document, print};
use super::{Exit, render};
use crate::assessment::{Assessment, Outcome, ServiceAssessment, TopologyAssessment};
use crate::election::{AssumedVersion, MetalLbVersion, VersionBasis};
use crate::manifests::{self, Problem};
use crate::snapshot::Source;

/// Explain whether the client's source IP survives, and if not, why
///
/// Replays MetalLB's own decision which node announces each address of the gateway's Services, from the objects of a
/// cluster in manifests: topologies, nodes, Services with their status, `EndpointSlices`, pods, and MetalLB's pools and
/// advertisements. `kubectl get -o yaml` writes them. A kind that the input does not have is unknown: an outcome that
/// takes it is Unknown, and the others are assessed without it.
///
/// The first line of each address says what becomes of it: Preserved, Fragile (one step ends it), Lost (the gateway sees
/// another address), Silent (no node announces it) or Unknown. What mends it follows.
///
/// With `--with`, `--without`, `--label-node` and `--fail-node` the command shows the state as it would be after these
/// changes, and each outcome before and after. Nothing is changed. The changes are applied in this order. MetalLB's controller
/// and the scheduler are not replayed: addresses stay, unless a Service asks for others, and pods stay where they run.
///
/// The exit code is 0 if the client's source IP survives at every address, 1 if at one it does not or there is none, and
/// 2 if something cannot be read or is Unknown. With changes, it is that of the state after them.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExplainArgs {
    /// Only this topology, Service (`NAME` or `NAMESPACE/NAME`) or IP address
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// A file, a directory (every `.yaml`, `.yml` and `.json` below) or `-` for standard input; may be repeated
    #[arg(short, long, required = true, value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The MetalLB version whose decision is replayed; by default that of the speaker pods' image, else the newest
    #[arg(long, value_enum, value_name = "VERSION")]
    metallb: Option<Version>,
    #[command(flatten)]
    what_if: what_if::WhatIfArgs,
    /// The output format
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
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
    /// For people
    Human,
    /// One JSON document, for programs
    Json,
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

/// Explains the state that the manifests describe.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn run(args: &ExplainArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let loaded = manifests::load(&args.filename, streams.stdin);
    let (inventory, problems) = manifests::state(&loaded.documents, &args.namespace);
    let problems: Vec<Problem> = loaded.problems.into_iter().chain(problems).collect();
    for problem in &problems {
        print(streams.stderr, format!("lockstep: {}\n", render::printable(&problem.to_string())).as_bytes())?;
    }
    if inventory.topologies.is_empty() {
        let text = "lockstep: no GatewayTopology in the input: the built-in one is used\n";
        print(streams.stderr, text.as_bytes())?;
    }
    let given = args.metallb.map(|version| AssumedVersion::given(version.into()));
    // Which kinds a cluster serves, manifests do not say.
    let AssumedVersion { version, basis } =
        given.unwrap_or_else(|| AssumedVersion::detect(&inventory, |_| false));
    let is_built_in = inventory.topologies.is_empty();
    let supposed = match args.what_if.apply_to(&inventory, &args.namespace, streams.stdin) {
        Ok(supposed) => supposed,
        Err(problems) => {
            for problem in problems {
                print(streams.stderr, format!("lockstep: {problem}\n").as_bytes())?;
            }
            return Ok(Exit::Unusable);
        }
    };
    let now = Assessment::explain(&inventory.or_built_in(), version);
    let mut explained = match supposed {
        None => Explained { assessment: now, basis, before: None, changes: Vec::new() },
        Some(what_if::Supposed { inventory, changes }) => {
            let after = if is_built_in { inventory.or_built_in() } else { inventory };
            let assessment = Assessment::foresee(&after, version);
            Explained { assessment, basis, before: Some(now), changes }
        }
    };
    if let Some(target) = &args.target
        && !explained.select(target)
    {
        let text = format!(
            "lockstep: no topology, Service or address `{}` in the input\n",
            render::printable(target)
        );
        print(streams.stderr, text.as_bytes())?;
        return Ok(Exit::Unusable);
    }
    let text = match args.format {
        Format::Human => human::text(&explained),
        Format::Json => json_document(&json::document(&explained))?,
    };
    print(streams.stdout, text.as_bytes())?;
    Ok(if problems.is_empty() { exit(&explained.assessment) } else { Exit::Unusable })
}

/// What is explained.
struct Explained {
    /// The state, or with what-if the state after the changes.
    assessment: Assessment,
    /// Why this version's decision was replayed.
    basis: VersionBasis,
    /// The state before the changes of a what-if.
    before: Option<Assessment>,
    /// The changes of a what-if in words.
    changes: Vec<String>,
}

impl Explained {
    /// Leaves nothing but what was asked for. Whether there is such a thing, before or after.
    fn select(&mut self, target: &str) -> bool {
        let is_before = self.before.as_mut().is_some_and(|before| select(before, target));
        select(&mut self.assessment, target) || is_before
    }
}

/// Leaves nothing but what was asked for. Whether there is such a thing.
fn select(assessment: &mut Assessment, target: &str) -> bool {
    if assessment.topologies.iter().any(|topology| *topology.name == *target) {
        assessment.topologies.retain(|topology| *topology.name == *target);
        return true;
    }
    let address = target.parse::<std::net::IpAddr>().ok().map(|address| address.to_canonical().to_string());
    for topology in &mut assessment.topologies {
        for service in &mut topology.services {
            let is_named = service.key.name == target || service_name(service) == target;
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

fn label(source: Source) -> String {
    match source {
        Source::Speakers => "MetalLB's speaker pods".to_owned(),
        source => source.to_string(),
    }
}
