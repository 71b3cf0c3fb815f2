//! The status of a topology.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The type of the condition on whether the cluster's webhook configurations cover a topology.
pub const GUARDED: &str = "Guarded";

/// The type of the condition on whether admission edits or denies what breaks a rule of a topology, for every rule and object.
pub const ENFORCED: &str = "Enforced";

/// The type of the condition on whether Lockstep cannot judge a topology until somebody acts, with the meaning that kstatus
/// gives it (`sigs.k8s.io/cli-utils/pkg/kstatus`).
pub const STALLED: &str = "Stalled";

/// The maximum number of addresses in a status.
pub const MAX_SERVICES: usize = 32;

/// The maximum number of findings in a status.
pub const MAX_FINDINGS: usize = 16;

/// The status of a topology. Every replica may write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTopologyStatus {
    /// The `metadata.generation` that the conditions were set for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One condition per type: Guarded, Aligned, SourceIPPreserved, Resilient, Stalled and Enforced.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The numbers of addresses and nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<StatusSummary>,
    /// The addresses of the topology's Services, 32 at most. Those at which the client's source IP does not survive come first.
    #[schemars(schema_with = "schema::services")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceStatus>,
    /// The findings on the topology as a whole, 16 at most.
    #[schemars(schema_with = "schema::findings")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingStatus>,
}

/// The numbers of a topology's addresses and nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusSummary {
    /// The addresses of the topology's Services. A Service without an address counts as one.
    pub addresses: i64,
    /// The addresses at which the client's source IP survives.
    pub preserved: i64,
    /// The gateway nodes.
    pub gateway_nodes: i64,
    /// The nodes that an advertisement of the topology's pools selects.
    pub announcing_nodes: i64,
    /// The nodes with an endpoint of a Service that takes traffic.
    pub serving_nodes: i64,
}

/// One address of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// The Service's name, in the gateway's namespace.
    pub name: String,
    /// The address; missing for a Service without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The node that announces the address; the first one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The outcome for the client's address: Preserved, Fragile, Lost, Silent or Unknown.
    pub outcome: String,
    /// The reason for any outcome but Preserved, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in a sentence, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A finding on a topology as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FindingStatus {
    /// The finding as a code.
    pub reason: String,
    /// The finding in a sentence, and what to do.
    pub message: String,
}

impl GatewayTopologyStatus {
    /// The condition with this type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }
}
