//! Services.

use serde::Deserialize;

use super::Metadata;
use crate::labels::Labels;
use crate::labels::nulls::{self, or_default};

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata; an advertisement's `serviceSelectors` match the labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec; `None` if the object has none.
    pub spec: Option<ServiceSpec>,
}

/// The fields of a Service's spec that decide how it is reachable from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// The type; empty means `ClusterIP`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The selector of the pods; empty if the endpoints are managed by hand.
    #[serde(deserialize_with = "nulls::strings")]
    pub selector: Labels,
    /// The policy; empty if the API server's default applies.
    #[serde(deserialize_with = "or_default")]
    pub external_traffic_policy: String,
    /// The load balancer class. `MetalLB` serves Services without a class unless it runs with `--lb-class`.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_class: String,
    /// Addresses that are routed to the cluster without a load balancer.
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    pub external_ips: Vec<String>,
}
