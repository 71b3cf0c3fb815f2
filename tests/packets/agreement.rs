//! `lockstep explain` about the state of the very moment in which packets are counted, and whether both agree.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;

use kube::Client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::machines::Machine;
use super::objects::{ISTIO, NAME};
use super::program::folder;
use super::stage::Expected;
use lockstep_test_support::program;
use lockstep_test_support::release::read;

/// Everything that `explain` reads of a cluster.
const LISTS: [&str; 14] = [
    "/apis/lockstep.dev/v1alpha1/gatewaytopologies",
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/metallb.io/v1beta1/ipaddresspools",
    "/apis/metallb.io/v1beta1/l2advertisements",
    "/apis/metallb.io/v1beta1/bgpadvertisements",
    "/apis/metallb.io/v1beta1/servicel2statuses",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/policy/v1/poddisruptionbudgets",
];

/// Kinds of which there may be no object, and manifests cannot tell that from a kind that was left out: speakers report
/// nothing where nobody announces, and no outcome takes the others.
const MAYBE_NONE: [&str; 5] = [
    "servicel2statuses.metallb.io",
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "poddisruptionbudgets.policy",
];

/// The version of the speakers that run here. `explain` detects it.
const METALLB: &str = "0.15.2";

/// The explanation of one address of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The outcome for the client's address, in one word.
    pub outcome: String,
    /// The reason, as a code.
    pub reason: Option<String>,
    /// The node that announces the address, also if it does so for another Service only.
    pub announcer: Option<String>,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, reason, announcer } = self;
        let short = |name: &String| name.trim_start_matches("demo-dev-").to_owned();
        write!(f, "{}, {outcome}", announcer.as_ref().map_or("nobody".to_owned(), short))?;
        reason.iter().try_for_each(|reason| write!(f, " ({reason})"))
    }
}

/// The prediction of a change that nobody has made yet.
#[derive(Debug)]
pub struct Prediction {
    /// The change, as arguments.
    pub what_if: Vec<String>,
    /// The state before, and what it says of the state after.
    pub explanation: Explanation,
}

/// The evidence of the packets to one address.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// The gateway's address.
    pub target: IpAddr,
    /// The node that the client has it from, by ARP or neighbour discovery.
    pub announced: Option<Machine>,
}

/// The explanation of a state.
#[derive(Debug)]
pub struct Explanation {
    /// The manifests that it was given; `None` where it read the cluster itself.
    objects: Option<Value>,
    document: Value,
    exit: Option<i32>,
    errors: String,
}

impl Explanation {
    /// Reads the objects of the cluster as `kubectl get` does, and has them explained. With arguments it is the state after
    /// a change that nobody has made yet.
    pub async fn of_objects(client: &Client, arguments: &[String]) -> Self {
        let mut lists = Vec::new();
        for path in LISTS {
            lists.push(read(client, path).await);
        }
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": lists});
        Self::run(&["-f", "-"], arguments, Some(objects)).await
    }

    /// The same by `explain` itself, from the cluster of a kubeconfig.
    pub async fn of_cluster(kubeconfig: &Path, arguments: &[String]) -> Self {
        Self::run(&["--kubeconfig", kubeconfig.to_str().unwrap()], arguments, None).await
    }

    async fn run(source: &[&str], arguments: &[String], objects: Option<Value>) -> Self {
        let mut child = Command::new(program())
            .args(["explain", "-o", "json"])
            .args(source)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Some(objects) = &objects {
            stdin.write_all(objects.to_string().as_bytes()).await.unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout);
        let document = document.unwrap_or_else(|error| panic!("explain: {error}\n{errors}"));
        Self { objects, document, exit: output.status.code(), errors }
    }

    /// Returns the explanation of an address of the gateway's Service; `None` if it knows of no such Service or address.
    pub fn statement(&self, target: IpAddr) -> Option<Statement> {
        let address = json!(target.to_string());
        let is_gateway = |service: &Value| service["namespace"] == ISTIO && service["name"] == NAME;
        let entries = || self.services().filter(|service| is_gateway(service)).flat_map(addresses);
        // A Service without an address has one entry that says why.
        let entry = entries()
            .find(|entry| entry["address"] == address)
            .or_else(|| entries().find(|entry| entry["address"].is_null()))?;
        let announcing = self.services().flat_map(addresses).filter(|entry| entry["address"] == address);
        let announcers: BTreeSet<&str> = announcing.filter_map(|entry| entry["announcer"].as_str()).collect();
        assert!(announcers.len() <= 1, "explain names several nodes for {target}: {announcers:?}");
        Some(Statement {
            outcome: entry["outcome"].as_str().unwrap().to_owned(),
            reason: entry["reason"].as_str().map(str::to_owned),
            announcer: announcers.first().map(|name| (*name).to_owned()),
        })
    }

    /// The codes of what it finds wrong with the topology.
    pub fn findings(&self) -> Vec<&str> {
        let findings = self.topologies().flat_map(|topology| topology["findings"].as_array().unwrap());
        findings.map(|finding| finding["reason"].as_str().unwrap()).collect()
    }

    fn topologies(&self) -> impl Iterator<Item = &Value> {
        self.document["topologies"].as_array().unwrap().iter()
    }

    fn services(&self) -> impl Iterator<Item = &Value> {
        self.topologies().flat_map(|topology| topology["services"].as_array().unwrap())
    }

    /// Returns the difference from packets that were as expected; `None` if both agree.
    pub fn disagreement(&self, expected: Expected, shown: &[Shown]) -> Option<String> {
        if self.document["metallb"] != METALLB {
            return Some(format!("explain replays MetalLB {}", self.document["metallb"]));
        }
        let unread = self.document["unread"].as_array().unwrap();
        if !self.errors.is_empty()
            || !unread.iter().all(|entry| MAYBE_NONE.iter().any(|kind| entry["kind"] == *kind))
        {
            return Some(format!("explain could not read {unread:?}: {}", self.errors));
        }
        if self.exit != Some(expected.exit()) {
            return Some(format!("explain exits with {:?} where {expected:?} is shown", self.exit));
        }
        shown.iter().find_map(|shown| {
            let said = self.statement(shown.target);
            let agrees = |said: &Statement| {
                said.announcer.as_deref() == shown.announced.map(|node| node.name) && expected.is_stated(said)
            };
            let what = || format!("packets show {expected:?}, {shown:?}; explain says {said:?}");
            (!said.as_ref().is_some_and(agrees)).then(what)
        })
    }

    /// Leaves what it says, the objects that it read, and what disagrees with it, for the reader.
    pub fn leave(&self, name: &str, disagreement: &str) -> String {
        let folder = folder().join("disagreement");
        std::fs::create_dir_all(&folder).unwrap();
        let write = |file: String, text: String| std::fs::write(folder.join(file), text).unwrap();
        if let Some(objects) = &self.objects {
            write(format!("{name}-objects.json"), format!("{objects:#}\n"));
        }
        write(format!("{name}.json"), format!("{:#}\n", self.document));
        write(format!("{name}.txt"), format!("{disagreement}\n{}", self.errors));
        format!("{disagreement}\nthe objects and all that was said are in `{}`", folder.display())
    }
}

fn addresses(service: &Value) -> impl Iterator<Item = &Value> {
    service["addresses"].as_array().unwrap().iter()
}

impl Expected {
    /// Whether `explain` says of an address what the packets show.
    fn is_stated(self, said: &Statement) -> bool {
        let outcomes: &[&str] = match self {
            Self::Kept | Self::From(_) => &["Preserved", "Fragile"],
            Self::Lost => &["Lost"],
            Self::Silence(_) => &["Silent"],
        };
        let is_reason = |reason| said.reason.as_deref() == Some(reason);
        outcomes.contains(&said.outcome.as_str()) && self.reason().is_none_or(is_reason)
    }

    /// The code that `explain` gives as the reason, where there is only one that can be right.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Kept | Self::From(_) => None,
            Self::Lost => Some("NOT_LOCAL"),
            Self::Silence(reason) => Some(reason),
        }
    }

    /// The exit code of `explain`.
    fn exit(self) -> i32 {
        match self {
            Self::Kept | Self::From(_) => 0,
            Self::Lost | Self::Silence(_) => 1,
        }
    }
}
