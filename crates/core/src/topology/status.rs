//! The status of a topology.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The type of the condition on whether the cluster's webhook configurations cover a topology.
pub const GUARDED: &str = "Guarded";

/// The status of a topology. Every replica may write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTopologyStatus {
    /// The `metadata.generation` that the conditions were set for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One condition per type.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl GatewayTopologyStatus {
    /// The condition with this type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }
}
