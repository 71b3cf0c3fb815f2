//! Manifests of the objects that tests create.

use serde_json::{Value, json};

/// The label that the default topology's node selector uses.
pub const LABEL: &str = "loadbalancerIPs.metallb.io";

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A node with these labels.
#[must_use]
pub fn node(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// A topology. An empty spec takes every default.
#[must_use]
pub fn topology(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": name}, "spec": spec,
    })
}

/// A pod with these labels.
pub fn pod(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "proxy", "image": "istio/proxyv2"}]},
    })
}

/// The labels of the default gateway's pods.
pub fn gateway_labels() -> Value {
    json!({"app": "istio-ingressgateway", "istio": "ingressgateway"})
}

/// A pod of the gateway without a node selector.
pub fn gateway_pod(name: &str) -> Value {
    pod("istio-system", name, &gateway_labels())
}

/// A gateway Service without a traffic policy.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "type": "LoadBalancer", "selector": gateway_labels(),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443}],
        },
    })
}

/// An advertisement of the gateway's pool without node selectors: from every node.
pub fn wide_advertisement(name: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"ipAddressPools": ["default-pool"]},
    })
}

/// An advertisement of the gateway's pool from the gateway's nodes.
pub fn right_advertisement(name: &str) -> Value {
    let mut advertisement = wide_advertisement(name);
    advertisement["spec"]["nodeSelectors"] = json!([{"matchLabels": {LABEL: "arp"}}]);
    advertisement
}
