//! The parts of Kubernetes' and MetalLB's objects that the rules read, and no other field.
//!
//! Decoding skips everything else without allocating, which is most of what a review costs. Nulls are
//! read as the API server stores them: it prunes them from custom resources, and reads them as empty in
//! its own kinds.

mod announcement;
mod kind;
mod pod;
mod service;
mod tolerant;

pub use announcement::{AdvertisementSpec, L2Advertisement, PreferredNodeSelector};
pub use kind::Kind;
pub use pod::{
    Affinity, DaemonSet, DaemonSetSpec, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, Pod, PodSpec, PodTemplate,
};
pub use service::{Service, ServiceSpec};
pub(crate) use tolerant::{or_default, pruned};

use serde::Deserialize;

use crate::labels::Labels;

/// The metadata that the rules read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Empty at admission where `generateName` is used.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The prefix of a name that the API server makes up after admission.
    #[serde(deserialize_with = "or_default")]
    pub generate_name: String,
    /// Empty for cluster-scoped kinds.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The object's labels.
    #[serde(deserialize_with = "tolerant::strings")]
    pub labels: Labels,
    /// Whether the annotation `kubernetes.io/config.mirror` is there: the API server's image of a static pod.
    #[serde(rename = "annotations", deserialize_with = "tolerant::has_mirror")]
    pub is_mirror: bool,
    /// Whether `deletionTimestamp` is set: the object waits for its finalizers.
    #[serde(rename = "deletionTimestamp", deserialize_with = "tolerant::is_set")]
    pub is_terminating: bool,
    /// Counts the changes of the spec.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
}

/// A node, as far as selectors see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name and labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// An `IPAddressPool`, as far as advertisements see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IpAddressPool {
    /// Name, namespace and labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// An object that a rule judges.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A pod, or the pod that a template describes.
    Pod(Pod),
    /// A `DaemonSet`.
    DaemonSet(DaemonSet),
    /// A Service.
    Service(Service),
    /// An `L2Advertisement`.
    L2Advertisement(L2Advertisement),
}

impl Object {
    /// The object's metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Pod(pod) => &pod.metadata,
            Self::DaemonSet(daemon_set) => &daemon_set.metadata,
            Self::Service(service) => &service.metadata,
            Self::L2Advertisement(advertisement) => &advertisement.metadata,
        }
    }
}
