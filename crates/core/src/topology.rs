//! `GatewayTopology`: its types, defaults, checks and status.

mod check;
mod default;
mod exception;
mod pruning;
mod schema;
mod status;

pub use check::TopologyError;
pub use default::BUILT_IN;
pub use exception::Exception;
pub use pruning::prune;
pub use status::{
    ENFORCED, FindingStatus, GUARDED, GatewayTopologyStatus, MAX_FINDINGS, MAX_SERVICES, STALLED,
    ServiceStatus, StatusSummary,
};

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::objects::Resource;
use crate::verdict::Rule;

/// One gateway: which pods it is made of, where they may run, and which address pools carry its Services.
///
/// The default is the built-in topology: Istio's ingress gateway of the release `istio-ingressgateway`,
/// placed on the nodes labelled `loadbalancerIPs.metallb.io=arp`, served from MetalLB's pool `default-pool`.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lockstep.dev",
    version = "v1alpha1",
    kind = "GatewayTopology",
    plural = "gatewaytopologies",
    shortname = "gwt",
    category = "lockstep",
    status = "GatewayTopologyStatus",
    doc = "One gateway: which pods it is made of, where they may run, and which address pools carry its Services.",
    printcolumn(
        name = "Guarded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Guarded")].status"#
    ),
    printcolumn(
        name = "Aligned",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Aligned")].status"#
    ),
    printcolumn(
        name = "Preserved",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="SourceIPPreserved")].status"#
    ),
    printcolumn(
        name = "Resilient",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Resilient")].status"#
    ),
    printcolumn(name = "Enforcement", type_ = "string", json_path = ".spec.enforcement"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Gateway", type_ = "string", json_path = ".spec.gateway.namespace", priority = 1),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.addressPools", priority = 1),
    printcolumn(name = "Match", type_ = "string", json_path = ".spec.announcements.match", priority = 1),
    printcolumn(
        name = "Addresses",
        type_ = "integer",
        json_path = ".status.summary.addresses",
        priority = 1
    ),
    printcolumn(
        name = "Gateway Nodes",
        type_ = "integer",
        json_path = ".status.summary.gatewayNodes",
        priority = 1
    ),
    printcolumn(
        name = "Announcing",
        type_ = "integer",
        json_path = ".status.summary.announcingNodes",
        priority = 1
    ),
    printcolumn(
        name = "Serving",
        type_ = "integer",
        json_path = ".status.summary.servingNodes",
        priority = 1
    ),
    printcolumn(
        name = "Enforced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Enforced")].status"#,
        priority = 1
    ),
    printcolumn(
        name = "Stalled",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Stalled")].status"#,
        priority = 1
    ),
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GatewayTopologySpec {
    /// The gateway's pods.
    pub gateway: Gateway,
    /// The nodes that the gateway's pods may run on.
    pub placement: Placement,
    /// The names of the `IPAddressPools` that the gateway's Services get their addresses from.
    #[schemars(schema_with = "schema::address_pools")]
    pub address_pools: Vec<String>,
    /// MetalLB's namespace. MetalLB reads advertisements and pools from this namespace only.
    #[schemars(schema_with = "schema::namespace")]
    pub metallb_namespace: String,
    /// The requirements on advertisements.
    pub announcements: Announcements,
    /// The requirements on the gateway's Services.
    pub service: ServicePolicy,
    /// The effect of a rule that a request breaks.
    pub enforcement: Enforcement,
    /// The effect of single rules, by their ids.
    #[schemars(schema_with = "schema::enforcement_by_rule")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub enforcement_by_rule: BTreeMap<String, Enforcement>,
    /// Objects that a rule does not edit or deny.
    #[schemars(schema_with = "schema::exceptions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// The gateway's pods: the pods of one namespace with all of the given labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Gateway {
    /// The namespace of the gateway's pods and Services.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// The labels of gateway pods.
    #[schemars(schema_with = "schema::labels")]
    pub pod_labels: Labels,
}

/// The nodes that gateway pods may run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// The labels of the gateway nodes. Without any, every node is a gateway node, and pods are not edited.
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: Labels,
    /// The effect on a pod that asks for another value of the same label.
    pub on_conflict: OnConflict,
}

/// The effect on a pod that asks for another value of a placement label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnConflict {
    /// The pod is denied.
    #[default]
    Deny,
    /// The pod's value is replaced.
    Override,
}

/// The requirements on advertisements of the gateway's pools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Announcements {
    /// The required relation of the announcing nodes to the gateway nodes.
    #[serde(rename = "match")]
    pub relation: Match,
    /// The effect of a deletion that takes the last announcer away from an address of the gateway.
    pub on_delete: ValidationAction,
}

/// The effect of a change that would cost an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValidationAction {
    /// The request is denied.
    #[default]
    Deny,
    /// The request is allowed with a warning.
    Warn,
}

/// The required relation of the announcing nodes to the gateway nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Match {
    /// Every advertisement selects the gateway nodes and no other, today and after any change of labels.
    #[default]
    Exact,
    /// No advertisement selects other nodes; together they should select all gateway nodes.
    Contained,
    /// Among today's nodes: no advertisement selects other nodes, and together they select all gateway nodes.
    LiveNodes,
    /// Together the advertisements select all gateway nodes. They may select others, too: with `externalTrafficPolicy: Local`,
    /// only nodes with a ready gateway pod announce.
    Covering,
}

/// The requirements on the gateway's Services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ServicePolicy {
    /// The types of Services that get `externalTrafficPolicy: Local`. `ClusterIP` means those with externalIPs.
    #[schemars(schema_with = "schema::service_types")]
    pub types: Vec<ServiceType>,
    /// The load balancer classes that MetalLB serves; the empty string is a Service without a class.
    #[schemars(schema_with = "schema::classes")]
    pub load_balancer_classes: Vec<String>,
    /// The effect of a change to `externalTrafficPolicy: Local` for which MetalLB would take a shared address away.
    /// Admission itself never makes such a change.
    #[serde(rename = "sharedIP")]
    pub shared_ip: ValidationAction,
    /// The effect on a Service whose externalTrafficPolicy is not `Local`. The API server fills in `Cluster` where the field is
    /// missing, so with `Deny` every gateway Service must have it.
    pub on_cluster: OnCluster,
}

/// The effect on a gateway Service whose `externalTrafficPolicy` is not `Local`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnCluster {
    /// Admission sets `Local`, with a warning.
    #[default]
    Mutate,
    /// The request is denied, so that the mistake is seen where it is made.
    Deny,
}

/// The types of Services that are reachable from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// `type: LoadBalancer`.
    LoadBalancer,
    /// `type: NodePort`.
    NodePort,
    /// `type: ClusterIP` with `externalIPs`.
    ClusterIP,
}

/// The effect of a rule that a request breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// Admission edits or denies the request.
    #[default]
    Enforce,
    /// The request is allowed unchanged, with a warning.
    Warn,
    /// The request is allowed unchanged, and the finding is recorded.
    Audit,
}

impl Enforcement {
    /// Every effect, the strictest first.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Warn, Self::Audit];

    /// The word in a topology.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }
}

impl GatewayTopology {
    /// The resource of topologies, as the attribute of the spec declares it.
    pub const RESOURCE: Resource =
        Resource { group: "lockstep.dev", version: "v1alpha1", plural: "gatewaytopologies" };
}

impl GatewayTopologySpec {
    /// The effect of `rule` on a request that breaks it.
    #[must_use]
    pub fn enforcement_of(&self, rule: Rule) -> Enforcement {
        self.enforcement_by_rule.get(rule.id()).copied().unwrap_or(self.enforcement)
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;

    use super::*;

    #[test]
    fn the_resource_is_that_of_the_definition() {
        let Resource { group, version, plural } = GatewayTopology::RESOURCE;
        let declared =
            [GatewayTopology::group(&()), GatewayTopology::version(&()), GatewayTopology::plural(&())];
        assert_eq!([group, version, plural], declared.each_ref().map(AsRef::as_ref));
    }
}
