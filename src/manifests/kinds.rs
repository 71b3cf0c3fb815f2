//! Which objects of a manifest matter, and as what.

use serde_json::Value;

use crate::field::FieldPath;
use crate::objects::Kind;
use crate::topology::GatewayTopology;
use kube::Resource;

/// An object that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// A `GatewayTopology`.
    Topology,
    /// Lockstep's own group, but nothing that it has: a typo that would silently turn a topology off.
    UnknownOfOurs,
    /// A `Node`.
    Node,
    /// An `IPAddressPool`.
    Pool,
    /// A kind that the rules are about.
    Judged(Kind),
    /// A kind that makes pods, and where it holds their template.
    Workload(Template),
    /// A recorded request.
    Review,
}

/// Where a workload holds the template of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Template {
    /// `spec.template`
    OfSpec,
    /// `spec.jobTemplate.spec.template`
    OfJob,
}

impl Template {
    pub(super) fn path(self) -> FieldPath {
        match self {
            Self::OfSpec => FieldPath::fields(["spec", "template"]),
            Self::OfJob => FieldPath::fields(["spec", "jobTemplate", "spec", "template"]),
        }
    }
}

/// What an object is; `None` for what is none of ours.
pub(super) fn known(object: &Value) -> Option<Known> {
    let field = |name| object.get(name).and_then(Value::as_str);
    let (api_version, kind) = (field("apiVersion")?, field("kind")?);
    if api_version.split_once('/').is_some_and(|(group, _)| group == GatewayTopology::group(&())) {
        let is_topology =
            api_version == GatewayTopology::api_version(&()) && kind == GatewayTopology::kind(&());
        return Some(if is_topology { Known::Topology } else { Known::UnknownOfOurs });
    }
    Some(match (api_version, kind) {
        ("v1", "Node") => Known::Node,
        ("v1", "Pod") => Known::Judged(Kind::Pod),
        ("v1", "Service") => Known::Judged(Kind::Service),
        ("apps/v1", "DaemonSet") => Known::Judged(Kind::DaemonSet),
        ("metallb.io/v1beta1", "L2Advertisement") => Known::Judged(Kind::L2Advertisement),
        ("metallb.io/v1beta1", "IPAddressPool") => Known::Pool,
        ("apps/v1", "Deployment" | "StatefulSet" | "ReplicaSet")
        | ("v1", "ReplicationController")
        | ("batch/v1", "Job") => Known::Workload(Template::OfSpec),
        ("batch/v1", "CronJob") => Known::Workload(Template::OfJob),
        ("admission.k8s.io/v1", "AdmissionReview") => Known::Review,
        _ => return None,
    })
}
