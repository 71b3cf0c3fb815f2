//! `EndpointSlice`s: the pods and nodes behind a Service.

use serde::{Deserialize, Deserializer};
use smol_str::SmolStr;

use super::Metadata;
use crate::labels::nulls::or_default;

/// An `EndpointSlice` (`discovery.k8s.io/v1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointSlice {
    /// The metadata; the label `kubernetes.io/service-name` names the Service.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The endpoints.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// The endpoint's addresses.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<SmolStr>,
    /// The node that the endpoint runs on; empty if it is unknown.
    #[serde(deserialize_with = "or_default")]
    pub node_name: SmolStr,
    /// The conditions, which decide whether the endpoint takes traffic.
    #[serde(deserialize_with = "or_default")]
    pub conditions: EndpointConditions,
    /// The name of the endpoint's pod, in the namespace of the slice; empty if there is none.
    #[serde(rename = "targetRef", deserialize_with = "pod_name")]
    pub pod: SmolStr,
}

/// Decodes the name in a reference to a pod; empty for a reference to anything else.
fn pod_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SmolStr, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Target {
        #[serde(deserialize_with = "or_default")]
        kind: SmolStr,
        #[serde(deserialize_with = "or_default")]
        name: SmolStr,
    }
    let target: Target = or_default(deserializer)?;
    Ok(if target.kind == "Pod" { target.name } else { SmolStr::default() })
}

/// The conditions of an endpoint. `None` means unknown, which each consumer treats differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Whether the endpoint is ready; `None` counts as ready.
    pub ready: Option<bool>,
    /// Whether the endpoint serves, also while it terminates.
    pub serving: Option<bool>,
}

impl EndpointSlice {
    /// The name of the Service, in the namespace of the slice; `None` if the label is missing or empty.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        let name = self.metadata.labels.get("kubernetes.io/service-name")?;
        (!name.is_empty()).then_some(name.as_str())
    }
}

impl EndpointConditions {
    /// Whether the endpoint is ready.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Whether the endpoint is ready, or serves while it terminates.
    #[must_use]
    pub fn can_serve(self) -> bool {
        self.is_ready() || self.serving == Some(true)
    }
}
