//! Where the objects of an assessment come from, and what of them could not be read.

use std::collections::BTreeSet;
use std::io;

use k8s_openapi::jiff::Timestamp;

use super::ExplainArgs;
use super::json::{UnreadCode, UnreadKind};
use super::what_if::{self, Change};
use crate::assessment::Assessment;
use crate::cluster::state::{self, ClusterState, Unread, UnreadReason};
use crate::election::{AssumedVersion, VersionBasis};
use crate::manifests;
use crate::snapshot::{Inventory, Source};

/// Where objects were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Manifests,
    Cluster,
}

/// Objects, and what is known about how they were read.
#[derive(Debug)]
pub(in super::super) struct Reading {
    /// When the cluster was read; `None` for manifests, which do not say when they were true.
    pub(super) read_at: Option<Timestamp>,
    pub(super) inventory: Inventory,
    /// Objects, files or documents that could not be used: one sentence each.
    pub(super) problems: Vec<String>,
    place: Place,
    unread: Vec<Unread>,
    metallb_kinds: BTreeSet<String>,
}

/// The origin of an assessment, as the output reports it.
#[derive(Debug)]
pub(super) struct Origin {
    /// When the cluster was read; `None` for manifests.
    pub(super) read_at: Option<Timestamp>,
    /// The basis of the assumed MetalLB version.
    pub(super) basis: VersionBasis,
    place: Place,
    unread: Vec<Unread>,
}

/// Reads the objects of the manifests that the arguments name or, without one, of the cluster.
///
/// From a cluster, the namespaces of the topologies that `changes` apply are read, too.
///
/// # Errors
/// A sentence that says why the cluster cannot be read. What is wrong with manifests is in the reading.
pub(super) fn read(
    args: &ExplainArgs,
    changes: &[Change],
    stdin: &mut dyn io::Read,
) -> io::Result<Result<Reading, String>> {
    if !args.filename.is_empty() {
        let loaded = manifests::load(&args.filename, stdin);
        let namespace = args.namespace.as_deref().unwrap_or("default");
        let (inventory, problems) = manifests::state(&loaded.documents, namespace);
        let problems = loaded.problems.into_iter().chain(problems);
        return Ok(Ok(Reading {
            inventory,
            problems: problems.map(|problem| problem.to_string()).collect(),
            read_at: None,
            place: Place::Manifests,
            unread: Vec::new(),
            metallb_kinds: BTreeSet::new(),
        }));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(read_cluster(args, changes)))
}

async fn read_cluster(args: &ExplainArgs, changes: &[Change]) -> Result<Reading, String> {
    let client = args.cluster.connect().await.map_err(|error| error.to_string())?;
    let also: Vec<_> = what_if::topologies(changes).collect();
    let read = state::read(client, args.target.as_deref(), &also).await;
    read.map(Reading::of_cluster).map_err(|error| error.to_string())
}

impl Reading {
    /// The state of a cluster, read now.
    pub(in super::super) fn of_cluster(state: ClusterState) -> Self {
        let ClusterState { inventory, unread, problems, metallb_kinds } = state;
        let read_at = Some(Timestamp::now());
        Self { read_at, inventory, problems, place: Place::Cluster, unread, metallb_kinds }
    }

    /// Whether a cluster was read, where something may be that the reader may not see.
    pub(super) fn is_live(&self) -> bool {
        self.place == Place::Cluster
    }

    /// The version that the cluster runs with these objects, as far as it can be seen.
    pub(super) fn detect(&self, inventory: &Inventory) -> AssumedVersion {
        AssumedVersion::detect(inventory, |plural| self.metallb_kinds.contains(plural))
    }

    /// A warning where there is no topology.
    pub(super) fn warning(&self) -> Option<&'static str> {
        let is_without = self.inventory.topologies.is_empty();
        is_without.then_some(match self.place {
            Place::Manifests => "no GatewayTopology in the input: the built-in one is used",
            Place::Cluster => {
                "no GatewayTopology in the cluster, so that Lockstep enforces nothing: the built-in one is used; \
                 apply the output of `lockstep crd`, and create one"
            }
        })
    }

    /// Takes the objects out, and leaves what the output says about them.
    pub(super) fn split(self, basis: VersionBasis) -> (Inventory, Origin) {
        (self.inventory, Origin { read_at: self.read_at, basis, place: self.place, unread: self.unread })
    }
}

impl Origin {
    /// `the input` or `the cluster`.
    pub(super) fn place(&self) -> &'static str {
        match self.place {
            Place::Manifests => "the input",
            Place::Cluster => "the cluster",
        }
    }

    /// Returns the kinds that were not read, in lines for people. A rule is in the form that a role takes.
    pub(super) fn unread_lines(&self, assessment: &Assessment) -> Vec<String> {
        match self.place {
            Place::Manifests if assessment.unread.is_empty() => Vec::new(),
            Place::Manifests => {
                let kinds: Vec<String> = assessment.unread.iter().map(|source| label(*source)).collect();
                vec![format!("not in the input: {}", kinds.join(", "))]
            }
            Place::Cluster => self.unread.iter().flat_map(lines).collect(),
        }
    }

    /// Returns the kinds that were not read, for programs.
    pub(super) fn unread(&self, assessment: &Assessment) -> Vec<UnreadKind> {
        match self.place {
            Place::Manifests => assessment.unread.iter().map(|source| absent(*source)).collect(),
            Place::Cluster => self.unread.iter().map(entry).collect(),
        }
    }
}

fn label(source: Source) -> String {
    match source {
        Source::Speakers => "MetalLB's speaker pods".to_owned(),
        source => source.to_string(),
    }
}

fn lines(unread: &Unread) -> Vec<String> {
    let Unread { source, namespace, reason, .. } = unread;
    let source = label(*source);
    let place = namespace.as_ref().map_or_else(String::new, |name| format!(" in namespace `{name}`"));
    match reason {
        UnreadReason::Forbidden => {
            let rule = unread.rule();
            let list = |words: &[String]| {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("[{}]", quoted.join(", "))
            };
            let role = if namespace.is_some() { "a Role or ClusterRole" } else { "a ClusterRole" };
            vec![
                format!("not read: {source}{place}: you may not list them; {role} with this rule allows it:"),
                format!(
                    "  - {{apiGroups: {}, resources: {}, verbs: {}}}",
                    list(rule.api_groups.as_deref().unwrap_or_default()),
                    list(rule.resources.as_deref().unwrap_or_default()),
                    list(&rule.verbs)
                ),
            ]
        }
        UnreadReason::NoSpeakerKnown => vec![format!("not read: {source}: {}", no_speaker_known(&place))],
    }
}

fn no_speaker_known(place: &str) -> String {
    format!(
        "no pod{place} has the labels or the image of a speaker, so that nodes without a speaker are not known"
    )
}

fn entry(unread: &Unread) -> UnreadKind {
    let Unread { source, namespace, reason, .. } = unread;
    let (reason, rule) = match reason {
        UnreadReason::Forbidden => (UnreadCode::Forbidden, Some(unread.rule())),
        UnreadReason::NoSpeakerKnown => (UnreadCode::NoSpeakerKnown, None),
    };
    UnreadKind { kind: label(*source), namespace: namespace.clone(), reason, rule }
}

fn absent(source: Source) -> UnreadKind {
    UnreadKind { kind: label(source), namespace: None, reason: UnreadCode::NotInInput, rule: None }
}
