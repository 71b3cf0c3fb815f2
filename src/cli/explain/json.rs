//! The assessment for programs: one JSON document, whose form `docs/explain.schema.json` publishes.

use k8s_openapi::api::rbac::v1::PolicyRule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::condition::TopologyCondition;
use super::Explained;
use super::origin::Origin;
use super::probe::{self, Probes};
use crate::assessment::{
    AddressAssessment, Assessment, Cause, CauseCode, NodeAssessment, Outcome, ServiceAssessment,
    TopologyAssessment,
};

/// The output of `lockstep explain -o json`. New fields may come; a field never changes its meaning.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "The output of `lockstep explain -o json`")]
pub(super) struct Document {
    /// The state, or with what-if the state after the changes.
    #[serde(flatten)]
    state: ExplainedState,
    /// The changes of a what-if, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    what_if: Option<Vec<String>>,
    /// The state before the changes of a what-if.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Box<ExplainedState>>,
}

/// A state of the cluster, assessed.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ExplainedState {
    /// The MetalLB version whose election was replayed.
    metallb: String,
    /// The basis of the version.
    metallb_basis: Basis,
    /// The number of nodes of the state.
    nodes: usize,
    /// The topologies, in the order of names.
    topologies: Vec<Topology>,
    /// The kinds that were not read. An outcome that depends on one is Unknown.
    unread: Vec<UnreadKind>,
}

/// The basis on which the MetalLB version was assumed.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Basis {
    /// A code.
    reason: String,
    /// The same in a sentence.
    message: String,
}

/// A kind of objects that was not read.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct UnreadKind {
    /// The kind.
    pub(super) kind: String,
    /// The namespace in which it was not read; null for the whole cluster.
    pub(super) namespace: Option<String>,
    /// The reason why it was not read.
    pub(super) reason: UnreadCode,
    /// The RBAC rule that allows reading it; null if a right is not what is missing.
    pub(super) rule: Option<PolicyRule>,
}

/// The reason why a kind was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum UnreadCode {
    /// The reader may not list it.
    Forbidden,
    /// No pod has the labels or the image of a speaker.
    NoSpeakerKnown,
    /// The manifests have no object of the kind.
    NotInInput,
}

/// A topology.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Topology {
    /// The name.
    name: String,
    /// The conditions that follow: `SourceIPPreserved`, `Resilient` and `Aligned`.
    conditions: Vec<TopologyCondition>,
    /// The Services of type `LoadBalancer` behind the gateway, in the order of names.
    services: Vec<Service>,
    /// The findings on the topology as a whole, and on its nodes, pods and other objects.
    findings: Vec<Finding>,
    /// The messages of those findings that say what the topology does not match.
    unmatched: Vec<String>,
}

/// A finding on a topology.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Finding {
    /// A stable code, such as `NO_GATEWAY_NODE`.
    reason: String,
    /// The fault, in a sentence.
    message: String,
    /// The mend, in a sentence.
    mend: String,
    /// The mend as commands for a shell, in their order; empty where somebody has to decide or look first.
    commands: Vec<String>,
}

/// A Service of a topology.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Service {
    /// The namespace.
    namespace: String,
    /// The name.
    name: String,
    /// `externalTrafficPolicy`; empty where it is not set, which means `Cluster`.
    policy: String,
    /// The reason why no node was asked, with `--probe`; missing if the nodes were asked, and without the flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_probed: Option<String>,
    /// The addresses, in the order of the Service's status; one entry without an address if it has none.
    addresses: Vec<Address>,
}

/// An address of a Service, and the outcome for the client's source IP there.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Address {
    /// The address; null for a Service without any.
    address: Option<String>,
    /// The pool that has it; null if none has, or if that was not decided.
    pool: Option<String>,
    /// The outcome for the client's source IP.
    outcome: OutcomeWord,
    /// The cause, as a stable code; null for `Preserved`.
    reason: Option<String>,
    /// The cause, in a sentence; null for `Preserved`.
    message: Option<String>,
    /// What mends it, in a sentence; null for `Preserved`.
    mend: Option<String>,
    /// The mend as commands for a shell, in their order; empty where somebody has to decide or look first.
    commands: Vec<String>,
    /// The node that announces the address by layer 2; null for none.
    announcer: Option<String>,
    /// The node that announces it by layer 2 if the announcer's node goes, with its pods; null for none.
    next: Option<String>,
    /// The nodes that announce it by BGP.
    bgp_announcers: Vec<String>,
    /// The nodes that matter: gateway nodes, nodes with an endpoint, nodes that announce, and nodes that an advertisement's
    /// `nodeSelectors` select.
    nodes: Vec<Node>,
}

/// The outcome for the client's source IP.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum OutcomeWord {
    /// The source IP reaches the gateway, also after one node goes.
    Preserved,
    /// The source IP reaches the gateway now, and one step ends that.
    Fragile,
    /// The gateway answers, and sees another address.
    Lost,
    /// No node announces the address.
    Silent,
    /// A kind that the outcome depends on was not read.
    Unknown,
}

/// A node and the facts that matter for one Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Node {
    /// The name.
    name: String,
    /// Whether it is a gateway node.
    labelled: bool,
    /// The names of the L2Advertisements that announce the Service from it.
    selected_by: Vec<String>,
    /// The names of the BGPAdvertisements that announce the Service from it.
    bgp_selected_by: Vec<String>,
    /// Whether a live speaker runs on it; null if speakers were not read.
    speaker: Option<bool>,
    /// Whether its label keeps MetalLB from announcing from it.
    excluded: bool,
    /// Whether its network keeps MetalLB from announcing from it.
    network_unavailable: bool,
    /// The number of endpoints on it, whether they take traffic or not.
    endpoints: usize,
    /// The number of endpoints on it that take traffic.
    ready_endpoints: usize,
    /// Its taints that keep pods away, as `kubectl taint` writes them.
    taints: Vec<String>,
    /// Whether it can announce by layer 2, or by BGP where nothing else announces the pool.
    candidate: bool,
    /// The reason why it is no candidate, as a stable code; null for a candidate.
    reason: Option<String>,
    /// The answer of kube-proxy on the node, with `--probe`; missing if it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
}

/// The answer of kube-proxy on a node at the Service's `healthCheckNodePort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Probe {
    /// The number of ready endpoints on the node, as kube-proxy there knows them; null without a usable answer.
    local_endpoints: Option<u64>,
    /// The reason why there is no usable answer, or that kube-proxy reports itself not healthy, in a sentence; null if neither
    /// is so.
    error: Option<String>,
    /// The contradiction to `readyEndpoints`, in a sentence: one is 0, and the other is not. Null if it does not.
    disagreement: Option<String>,
}

/// The assessment as one JSON document.
pub(super) fn document(explained: &Explained) -> Document {
    Document {
        state: state(&explained.assessment, &explained.origin, explained.probes.as_ref()),
        what_if: explained.before.as_ref().map(|_| explained.changes.clone()),
        before: explained.before.as_ref().map(|before| Box::new(state(before, &explained.origin, None))),
    }
}

fn state(assessment: &Assessment, origin: &Origin, probes: Option<&Probes>) -> ExplainedState {
    let basis = Basis { reason: origin.basis.reason().to_owned(), message: origin.basis.to_string() };
    ExplainedState {
        metallb: assessment.version.number().to_owned(),
        metallb_basis: basis,
        nodes: assessment.nodes,
        topologies: assessment.topologies.iter().map(|held| topology(held, probes)).collect(),
        unread: origin.unread(assessment),
    }
}

fn topology(topology: &TopologyAssessment, probes: Option<&Probes>) -> Topology {
    let is_unmatched =
        |cause: &&Cause| matches!(cause.code.code(), "NO_POD" | "NO_SERVICE" | "NO_POOL" | "NO_GATEWAY_NODE");
    let unmatched = topology.findings.iter().filter(is_unmatched);
    Topology {
        name: topology.name.to_string(),
        conditions: topology.conditions().map(TopologyCondition::from).into(),
        services: topology.services.iter().map(|held| service(held, probes)).collect(),
        findings: topology.findings.iter().map(finding).collect(),
        unmatched: unmatched.map(|cause| cause.message.clone()).collect(),
    }
}

fn finding(cause: &Cause) -> Finding {
    Finding {
        reason: cause.code.code().to_owned(),
        message: cause.message.clone(),
        mend: cause.mend.clone(),
        commands: cause.commands.clone(),
    }
}

fn service(service: &ServiceAssessment, probes: Option<&Probes>) -> Service {
    let probe = |node: &NodeAssessment| {
        let probe = probes?.of(service, node)?;
        let disagreement = probe.disagreement(node);
        Some(Probe { local_endpoints: probe.local_endpoints, error: probe.error.clone(), disagreement })
    };
    let nodes: Vec<Node> =
        service.nodes.iter().map(|held| Node { probe: probe(held), ..node(held) }).collect();
    Service {
        namespace: service.key.namespace.clone(),
        name: service.key.name.clone(),
        policy: service.policy.clone(),
        not_probed: probes.and_then(|_| probe::obstacle(service)).map(str::to_owned),
        addresses: service.addresses.iter().map(|held| address(held, nodes.clone())).collect(),
    }
}

fn address(address: &AddressAssessment, nodes: Vec<Node>) -> Address {
    let cause = address.outcome.cause();
    Address {
        address: address.address.clone(),
        pool: address.pool.clone(),
        outcome: match address.outcome {
            Outcome::Preserved => OutcomeWord::Preserved,
            Outcome::Fragile(_) => OutcomeWord::Fragile,
            Outcome::Lost(_) => OutcomeWord::Lost,
            Outcome::Silent(_) => OutcomeWord::Silent,
            Outcome::Unknown(_) => OutcomeWord::Unknown,
        },
        reason: cause.map(|cause| cause.code.code().to_owned()),
        message: cause.map(|cause| cause.message.clone()),
        mend: cause.map(|cause| cause.mend.clone()),
        commands: cause.map_or_else(Vec::new, |cause| cause.commands.clone()),
        announcer: address.announcer.clone(),
        next: address.next.clone(),
        bgp_announcers: address.bgp_announcers.clone(),
        nodes,
    }
}

fn node(node: &NodeAssessment) -> Node {
    Node {
        name: node.name.clone(),
        labelled: node.is_labelled,
        selected_by: node.selected_by.clone(),
        bgp_selected_by: node.selected_by_bgp.clone(),
        speaker: node.has_speaker,
        excluded: node.is_excluded,
        network_unavailable: node.is_network_unavailable,
        endpoints: node.endpoints,
        ready_endpoints: node.ready_endpoints,
        taints: node.taints.clone(),
        candidate: node.obstacle.is_none(),
        reason: node.obstacle.map(CauseCode::code).map(str::to_owned),
        probe: None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::empty;
    use std::path::{Path, PathBuf};

    use clap::Parser;
    use lockstep_test_support::golden_file::assert_file_holds;
    use serde_json::Value;

    use super::Document;
    use crate::cli::output::{Streams, json_document};
    use crate::cli::{Cli, Command, explain};

    fn states() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
    }

    fn explained(arguments: &[&str]) -> Value {
        let all = ["lockstep", "explain", "-o", "json"].iter().chain(arguments);
        let Command::Explain(args) = Cli::parse_from(all).command else { panic!("another command") };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams { stdin: &mut empty(), stdout: &mut stdout, stderr: &mut stderr };
        explain::run(&args, &mut streams, false).unwrap();
        serde_json::from_slice(&stdout).unwrap()
    }

    #[test]
    fn the_published_schema_is_that_of_the_output() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explain.schema.json");
        assert_file_holds(&path, &json_document(&schemars::schema_for!(Document)).unwrap());
    }

    #[test]
    fn every_document_has_the_form_that_the_schema_describes_and_no_other_field() {
        let mut documents = 0;
        for state in states() {
            let path = state.to_str().unwrap();
            for arguments in [&["-f", path][..], &["-f", path, "--label-node", "n1:zone=a"]] {
                let value = explained(arguments);
                // The type that the schema is made of drops what it does not know, so that nothing unknown comes back.
                let document: Document = serde_json::from_value(value.clone()).unwrap();
                assert_eq!(serde_json::to_value(&document).unwrap(), value, "{path}");
                documents += 1;
            }
        }
        assert!(documents >= 90, "{documents}");
    }
}
