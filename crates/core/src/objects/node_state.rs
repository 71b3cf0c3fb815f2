//! Node states: whether a node can announce, apart from its labels, and its addresses.

use std::net::IpAddr;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::labels::nulls::or_default;

/// The part of a Node that its announcing depends on, and its addresses. Heartbeats do not change it.
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
    /// The first address of type `InternalIP` of each IP family in `status.addresses`; the node's primary one comes first.
    /// No outcome takes them.
    pub internal_ips: Vec<IpAddr>,
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
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: SmolStr,
    #[serde(deserialize_with = "or_default")]
    status: SmolStr,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: SmolStr,
    #[serde(deserialize_with = "or_default")]
    address: SmolStr,
}

impl From<Whole> for NodeState {
    fn from(whole: Whole) -> Self {
        let mut taints = whole.spec.taints;
        taints.retain(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        // The first condition of a type counts (`conditionStatus`, internal/k8s/nodes/nodes.go, 0.16.2).
        let network = whole.status.conditions.iter().find(|condition| condition.kind == "NetworkUnavailable");
        let internal = whole.status.addresses.iter().filter(|address| address.kind == "InternalIP");
        let mut internal_ips: Vec<IpAddr> = Vec::new();
        for ip in internal.filter_map(|address| address.address.parse::<IpAddr>().ok()) {
            if internal_ips.iter().all(|held| held.is_ipv4() != ip.is_ipv4()) {
                internal_ips.push(ip);
            }
        }
        Self {
            is_network_unavailable: network.is_some_and(|condition| condition.status == "True"),
            taints,
            is_down: false,
            internal_ips,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn internal_ips(addresses: &Value) -> Vec<String> {
        let node = json!({"status": {"addresses": addresses}});
        let state: NodeState = serde_json::from_value(node).unwrap();
        state.internal_ips.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_has_the_first_valid_internal_ip_of_each_family() {
        let addresses = json!([
            {"type": "Hostname", "address": "n1"},
            {"type": "ExternalIP", "address": "203.0.113.1"},
            {"type": "InternalIP", "address": "n1.example"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "InternalIP", "address": "10.0.0.2"},
        ]);
        assert_eq!(internal_ips(&addresses), ["fd00::1", "10.0.0.1"]);
        for none in [json!(null), json!([]), json!([{}]), json!([{"type": null, "address": null}])] {
            assert_eq!(internal_ips(&none), [""; 0], "{none}");
        }
    }
}
