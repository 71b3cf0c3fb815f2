//! Pods and what makes pods.

use serde::Deserialize;
use smol_str::SmolStr;

use super::Metadata;
use crate::labels::Labels;
use crate::labels::tolerant::{self, or_default};

/// A pod, or a template of pods read as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its labels decide which topology claims it.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Where it may run; `None` where the object has no spec.
    pub spec: Option<PodSpec>,
}

/// The template inside a `DaemonSet`.
pub type PodTemplate = Pod;

/// Where a pod may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// `None` where there is no map to add to.
    #[serde(deserialize_with = "tolerant::optional_strings")]
    pub node_selector: Option<Labels>,
    /// The node it is bound to; empty where the scheduler chooses.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    /// Only node affinity is read.
    #[serde(deserialize_with = "or_default")]
    pub affinity: Affinity,
}

impl PodSpec {
    /// The terms of the required node affinity; `None` where there is none.
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
    /// Affinity to nodes.
    #[serde(deserialize_with = "or_default")]
    pub node_affinity: NodeAffinity,
}

/// `spec.affinity.nodeAffinity`, without its preferences: they place nothing for sure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// What a node must satisfy.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// Terms of which one must hold. No term selects no node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// The terms.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Requirements that must all hold. An empty term selects no node (component-helpers `nodeaffinity.go`),
/// the opposite of an empty label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// On the node's labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<NodeSelectorRequirement>,
    /// On the node's fields, of which there is one: `metadata.name`.
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

/// A `DaemonSet`. Its controller plans from the template, before any of its pods is admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSet {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// `None` where the object has no spec.
    pub spec: Option<DaemonSetSpec>,
}

/// The part of a `DaemonSet` that makes pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DaemonSetSpec {
    /// What its pods look like.
    #[serde(deserialize_with = "or_default")]
    pub template: PodTemplate,
}
