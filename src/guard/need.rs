//! What a topology needs to be reviewed: the one table of it.

use crate::topology::GatewayTopologySpec;

/// One of the two webhook configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Mutating,
    Validating,
}

impl Side {
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// Where Lockstep takes these reviews.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Mutating => "/mutate",
            Self::Validating => "/validate",
        }
    }
}

/// Requests that must come to Lockstep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'t> {
    pub(super) side: Side,
    pub(super) resource: &'static Resource,
    pub(super) operations: &'static [&'static str],
    pub(super) namespace: &'t str,
}

/// A resource, and the version of it that Lockstep reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
}

const PODS: Resource = Resource { group: "", version: "v1", plural: "pods" };
const SERVICES: Resource = Resource { group: "", version: "v1", plural: "services" };
const DAEMON_SETS: Resource = Resource { group: "apps", version: "v1", plural: "daemonsets" };
const ADVERTISEMENTS: Resource =
    Resource { group: "metallb.io", version: "v1beta1", plural: "l2advertisements" };

const CREATE: &[&str] = &["CREATE"];
const BOTH: &[&str] = &["CREATE", "UPDATE"];

/// What `topology` needs on one side.
pub(super) fn needs(topology: &GatewayTopologySpec, side: Side) -> Vec<Need<'_>> {
    let gateway = topology.gateway.namespace.as_str();
    let metallb = topology.metallb_namespace.as_str();
    let need = |resource, operations, namespace| Need { side, resource, operations, namespace };
    match side {
        // Where a pod runs cannot be changed later, so its changes are only looked at.
        Side::Mutating => vec![
            need(&PODS, CREATE, gateway),
            need(&SERVICES, BOTH, gateway),
            need(&DAEMON_SETS, BOTH, gateway),
        ],
        Side::Validating => vec![
            need(&PODS, BOTH, gateway),
            need(&SERVICES, BOTH, gateway),
            need(&DAEMON_SETS, BOTH, gateway),
            need(&ADVERTISEMENTS, BOTH, metallb),
        ],
    }
}
