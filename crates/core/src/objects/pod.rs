//! Pods and pod templates.

use serde::Deserialize;
use smol_str::SmolStr;

use super::Metadata;
use crate::labels::Labels;
use crate::labels::nulls::{self, or_default};

/// A pod, or a pod template decoded as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Metadata; the labels decide which topology claims the pod.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec; `None` if the object has none.
    pub spec: Option<PodSpec>,
}

/// The pod template of a workload.
pub type PodTemplate = Pod;

/// The fields of a pod's spec that decide where it may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node selector; `None` if the pod has no map that a patch could add to.
    #[serde(deserialize_with = "nulls::optional_strings")]
    pub node_selector: Option<Labels>,
    /// The node that the pod is bound to; empty if the scheduler chooses it.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    /// The node affinity. Pod affinity is not read.
    #[serde(deserialize_with = "or_default")]
    pub affinity: Affinity,
}

impl PodSpec {
    /// The terms of the required node affinity; `None` if there is none.
    #[must_use]
    pub fn required_terms(&self) -> Option<&[NodeSelectorTerm]> {
        let required = self.affinity.node_affinity.required.as_ref()?;
        Some(&required.node_selector_terms)
    }
}

/// `spec.affinity`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// The node affinity.
    #[serde(deserialize_with = "or_default")]
    pub node_affinity: NodeAffinity,
}

/// `spec.affinity.nodeAffinity` without preferences, because preferences exclude no node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// The requirement that a node must satisfy.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// A list of terms, of which one must hold. An empty list selects no node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// The terms.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A term: requirements that must all hold. An empty term selects no node (component-helpers `nodeaffinity.go`),
/// unlike an empty label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements on the node's labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<NodeSelectorRequirement>,
    /// Requirements on the node's fields; the only field is `metadata.name`.
    #[serde(deserialize_with = "or_default")]
    pub match_fields: Vec<NodeSelectorRequirement>,
}

/// One requirement of a term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeSelectorRequirement {
    /// The label key or the field.
    #[serde(deserialize_with = "or_default")]
    pub key: SmolStr,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    #[serde(deserialize_with = "or_default")]
    pub operator: SmolStr,
    /// The operator's values.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<SmolStr>,
}

/// A `DaemonSet`. Its controller schedules by the template, before any pod is admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSet {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec; `None` if the object has none.
    pub spec: Option<DaemonSetSpec>,
}

/// The spec of a `DaemonSet`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSetSpec {
    /// The template of the pods.
    #[serde(deserialize_with = "or_default")]
    pub template: PodTemplate,
}

/// A workload whose pods are judged one by one when they are created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TemplatedWorkload {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec.
    #[serde(deserialize_with = "or_default")]
    pub spec: TemplatedWorkloadSpec,
}

/// The spec of a [`TemplatedWorkload`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TemplatedWorkloadSpec {
    /// The template of the pods; `None` for a `Rollout` that refers to a Deployment by `workloadRef`.
    pub template: Option<PodTemplate>,
}
