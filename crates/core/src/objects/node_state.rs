//! Node states: whether a node can announce, apart from its labels.

use serde::Deserialize;
use smol_str::SmolStr;

use crate::labels::nulls::or_default;

/// The part of a Node that its announcing depends on. Heartbeats do not change it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Whole")]
pub struct NodeState {
    /// Whether the condition `NetworkUnavailable` is `True`.
    pub is_network_unavailable: bool,
    /// The taints that keep pods away: those with effect `NoSchedule` or `NoExecute`.
    pub taints: Vec<Taint>,
    /// Whether the node is down, so that its speaker does not announce. A what-if sets it; no condition does, because
    /// a node that is not ready may still announce.
    pub is_down: bool,
}

/// One taint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// The key.
    #[serde(deserialize_with = "or_default")]
    pub key: SmolStr,
    /// The value; often empty.
    #[serde(deserialize_with = "or_default")]
    pub value: SmolStr,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(deserialize_with = "or_default")]
    pub effect: SmolStr,
}

/// Displays as in `kubectl taint`: `key=value:NoSchedule`.
impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let separator = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{separator}{}:{}", self.key, self.value, self.effect)
    }
}

/// The object as stored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole {
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    taints: Vec<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: SmolStr,
    #[serde(deserialize_with = "or_default")]
    status: SmolStr,
}

impl From<Whole> for NodeState {
    fn from(whole: Whole) -> Self {
        let mut taints = whole.spec.taints;
        taints.retain(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        // The first condition of a type counts (`conditionStatus`, internal/k8s/nodes/nodes.go, 0.16.2).
        let network = whole.status.conditions.iter().find(|condition| condition.kind == "NetworkUnavailable");
        Self {
            is_network_unavailable: network.is_some_and(|condition| condition.status == "True"),
            taints,
            is_down: false,
        }
    }
}
