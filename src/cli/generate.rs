//! `lockstep generate`: a topology for each gateway that is found, and what is missing for it to hold.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use clap_complete::ArgValueCandidates;
use serde::Serialize;
use serde_json::{Value, json};

use super::cluster_args::ClusterArgs;
use super::output::{Streams, json_document, print};
use super::render::printable;
use super::{Exit, completions};
use crate::cluster::state;
use crate::manifests;
use crate::proposal::{Gap, Proposal, proposals};
use crate::snapshot::{Inventory, ObjectKey, Source};
use crate::topology::{GatewayTopologySpec, Placement};

/// Propose a `GatewayTopology` for each gateway, and say what is missing for it to hold
///
/// A Service of type `LoadBalancer` is taken for that of a gateway if a word of its name or selector says so, such as `gateway`, `ingress`
/// or `traefik`. Its selector gives the gateway's pods, and its addresses give the pools. The placement is what the advertisements of
/// these pools select already, else a label that exactly the nodes of the gateway's pods have, else
/// `loadbalancerIPs.metallb.io=arp`. No topology is proposed for a gateway that one covers.
///
/// The gaps follow as comments, each with the `kubectl` command that mends it: labels of nodes, the node selector of
/// workloads, `externalTrafficPolicy: Local`, pools and advertisements. So the output can be applied: `lockstep generate |
/// kubectl apply -f -`. With `-o shell` it is the commands alone. Once they have run, `lockstep check --strict` accepts the
/// gateway's workloads, Services and advertisements.
///
/// Objects are read from the cluster, in every namespace and with your own rights, or with `-f` from manifests.
///
/// The exit code is 0 if nothing is missing, 1 if something is or no gateway was found, and 2 if something cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GenerateArgs {
    /// Read manifests instead of the cluster: a file, a directory (every `.yaml`, `.yml` and `.json` below) or `-` for
    /// standard input; may be repeated
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    filename: Vec<PathBuf>,
    /// The namespace of objects in files that name none
    #[arg(short, long, default_value = "default", add = ArgValueCandidates::new(completions::namespaces))]
    namespace: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The output format
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORMAT", default_value_t = GenerateFormat::Yaml)]
    format: GenerateFormat,
}

/// The output format of `generate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GenerateFormat {
    /// The topologies as YAML, with what is missing as comments
    Yaml,
    /// One JSON document, for programs
    Json,
    /// The commands that mend what is missing, for a shell
    Shell,
}

/// The state that `generate` proposes for.
struct Read {
    inventory: Inventory,
    /// Objects that could not be read: one sentence each.
    problems: Vec<String>,
    /// Kinds that the input does not have: one sentence each.
    warnings: Vec<String>,
}

/// Prints the topologies, and what is missing.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn run(args: &GenerateArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let read = match read(args, streams.stdin)? {
        Ok(read) => read,
        Err(error) => {
            print(streams.stderr, format!("lockstep: {}\n", printable(&error)).as_bytes())?;
            return Ok(Exit::Unusable);
        }
    };
    let Read { inventory, problems, warnings } = read;
    for line in problems.iter().chain(&warnings) {
        print(streams.stderr, format!("lockstep: {}\n", printable(line)).as_bytes())?;
    }
    let found = proposals(&inventory);
    if found.is_empty() {
        let line = "lockstep: no gateway found: no Service of type LoadBalancer has a name or a selector as those of gateways have, such as \
            `istio: ingressgateway`\n";
        print(streams.stderr, line.as_bytes())?;
    }
    let text = match args.format {
        GenerateFormat::Yaml => yaml(&found)?,
        GenerateFormat::Json => json_document(&Document::of(&found))?,
        GenerateFormat::Shell => shell(&found),
    };
    print(streams.stdout, text.as_bytes())?;
    let is_missing = found.is_empty() || found.iter().any(|proposal| !proposal.gaps.is_empty());
    Ok(match (problems.is_empty(), is_missing) {
        (false, _) => Exit::Unusable,
        (true, true) => Exit::Denied,
        (true, false) => Exit::Fine,
    })
}

/// Reads the manifests that the arguments name or, without one, the cluster.
fn read(args: &GenerateArgs, stdin: &mut dyn io::Read) -> io::Result<Result<Read, String>> {
    if args.filename.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return Ok(runtime.block_on(read_cluster(args)));
    }
    let loaded = manifests::load(&args.filename, stdin);
    let (inventory, problems) = manifests::state(&loaded.documents, &args.namespace);
    let problems = loaded.problems.into_iter().chain(problems);
    let warnings = [
        (Source::Nodes, "no node in the input: whether a node has the labels of the placement is not known"),
        (Source::AddressPools, "no object of MetalLB in the input: pools and advertisements are not known"),
    ];
    let is_missing = |(source, _): &(Source, &str)| !inventory.read.contains(source);
    let warnings = warnings.into_iter().filter(is_missing).map(|(_, text)| text.to_owned()).collect();
    Ok(Ok(Read { inventory, problems: problems.map(|problem| problem.to_string()).collect(), warnings }))
}

async fn read_cluster(args: &GenerateArgs) -> Result<Read, String> {
    let client = args.cluster.connect().await.map_err(|error| error.to_string())?;
    let state = state::read_everywhere(client).await.map_err(|error| error.to_string())?;
    let unread = state.unread.iter().map(|unread| {
        format!(
            "cannot list `{}`: you may not; `lockstep explain` prints the rule that allows it",
            unread.source
        )
    });
    let problems = state.problems.into_iter().chain(unread).collect();
    Ok(Read { inventory: state.inventory, problems, warnings: Vec::new() })
}

/// The manifest of a topology, with the fields that differ from one gateway to the next.
fn manifest(proposal: &Proposal) -> Value {
    let GatewayTopologySpec { gateway, placement, address_pools, metallb_namespace, .. } = &proposal.spec;
    let Placement { node_selector, .. } = placement;
    json!({
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "GatewayTopology",
        "metadata": {"name": proposal.name},
        "spec": {
            "gateway": gateway,
            "placement": {"nodeSelector": node_selector},
            "addressPools": address_pools,
            "metallbNamespace": metallb_namespace,
        },
    })
}

fn service_names(services: &[ObjectKey]) -> Vec<String> {
    services.iter().map(|key| format!("{}/{}", key.namespace, key.name)).collect()
}

/// The topologies that do not exist yet, each with comments.
fn yaml(proposals: &[Proposal]) -> io::Result<String> {
    let mut text = String::new();
    for proposal in proposals {
        let name = printable(&proposal.name);
        let services = service_names(&proposal.services).join(", ");
        let services = printable(&services);
        // Writing to a string never fails.
        if proposal.exists {
            let _ = writeln!(text, "# GatewayTopology {name} exists already. Its Services: {services}");
        } else {
            let _ = writeln!(text, "# The gateway behind Service {services}");
            let manifest = serde_saphyr::to_string(&manifest(proposal)).map_err(io::Error::other)?;
            text.push_str(&manifest);
        }
        match proposal.gaps.len() {
            0 => text.push_str("# Nothing is missing for it to hold.\n"),
            _ => text.push_str("# Missing for it to hold:\n"),
        }
        for Gap { message, commands } in &proposal.gaps {
            let _ = writeln!(text, "# * {}", printable(message));
            for command in commands {
                let _ = writeln!(text, "#     {}", printable(command));
            }
        }
        text.push_str("---\n");
    }
    if let Some(whole) = text.strip_suffix("---\n") {
        text.truncate(whole.len());
    }
    Ok(text)
}

/// The commands, each after the problem that it mends.
fn shell(proposals: &[Proposal]) -> String {
    let mut text = String::new();
    for Gap { message, commands } in proposals.iter().flat_map(|proposal| &proposal.gaps) {
        let _ = writeln!(text, "# {}", printable(message));
        for command in commands {
            text.push_str(command);
            text.push('\n');
        }
    }
    text
}

/// The JSON document. While `version` stays the same, fields keep their meaning, and new ones may be added.
#[derive(Serialize)]
struct Document {
    version: u32,
    topologies: Vec<ProposedTopology>,
}

#[derive(Serialize)]
struct ProposedTopology {
    name: String,
    exists: bool,
    services: Vec<String>,
    manifest: Value,
    missing: Vec<Missing>,
}

#[derive(Serialize)]
struct Missing {
    message: String,
    commands: Vec<String>,
}

impl Document {
    fn of(proposals: &[Proposal]) -> Self {
        let topology = |proposal: &Proposal| ProposedTopology {
            name: proposal.name.clone(),
            exists: proposal.exists,
            services: service_names(&proposal.services),
            manifest: manifest(proposal),
            missing: proposal
                .gaps
                .iter()
                .map(|Gap { message, commands }| Missing {
                    message: message.clone(),
                    commands: commands.clone(),
                })
                .collect(),
        };
        Self { version: 1, topologies: proposals.iter().map(topology).collect() }
    }
}
