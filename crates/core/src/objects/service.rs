//! Services.

use serde::Deserialize;

use super::Metadata;
use crate::labels::Labels;
use crate::labels::tolerant::{self, or_default};

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its labels are what an advertisement's `serviceSelectors` see.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// `None` where the object has no spec.
    pub spec: Option<ServiceSpec>,
}

/// What decides whether and how a Service is reachable from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Empty means `ClusterIP`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The pods behind it; empty where endpoints are made by hand.
    #[serde(deserialize_with = "tolerant::strings")]
    pub selector: Labels,
    /// Empty where the API server's default will apply.
    #[serde(deserialize_with = "or_default")]
    pub external_traffic_policy: String,
    /// Empty for `MetalLB`, unless it was started with a class of its own.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_class: String,
    /// Addresses that are routed to the cluster by other means.
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    pub external_ips: Vec<String>,
}
