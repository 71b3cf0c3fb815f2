//! What people write: the gateway's Deployment and Service, the pool and its advertisements.

use serde_json::{Value, json};

use super::machines::{Machine, NODES, POOL};

/// The seed's label of gateway nodes.
pub const LABEL: &str = "loadbalancerIPs.metallb.io";

/// Its value.
pub const ARP: &str = "arp";

/// How many gateway pods there are.
pub const REPLICAS: usize = 2;

/// Where the gateway is, and its name.
pub const ISTIO: &str = "istio-system";

/// Where MetalLB is.
pub const METALLB: &str = "metallb-system";

const NAME: &str = "istio-ingressgateway";

/// A node that is ready; nothing here sends heartbeats, and nothing waits for them.
pub fn node(node: Machine) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {"kubernetes.io/hostname": node.name}},
        "spec": {"podCIDR": node.pod_cidrs()[0], "podCIDRs": node.pod_cidrs()},
    })
}

/// Its status.
pub fn node_status(node: Machine) -> Value {
    let capacity = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    json!({"status": {
        "addresses": [
            {"type": "InternalIP", "address": node.v4()},
            {"type": "InternalIP", "address": node.v6()},
            {"type": "Hostname", "address": node.name},
        ],
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }})
}

/// The gateway as its chart installs it: nobody has thought of nodes. A new version starts everywhere before the
/// old one ends, and its pods are spread.
pub fn deployment() -> Value {
    let labels = json!({"app": NAME, "istio": "ingressgateway"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": ISTIO},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 30,
                    "containers": [{"name": "istio-proxy", "image": "istio/proxyv2"}],
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": labels},
                        "matchLabelKeys": ["pod-template-hash"],
                    }],
                },
            },
        },
    })
}

/// The seed's second step, by hand.
pub fn placed(mut deployment: Value) -> Value {
    deployment["spec"]["template"]["spec"]["nodeSelector"] = json!({LABEL: ARP});
    deployment
}

/// A gateway pod on every node, as somebody wants it who has thought of nothing but load.
pub fn everywhere(mut deployment: Value) -> Value {
    deployment["spec"]["replicas"] = NODES.len().into();
    deployment
}

/// The gateway's Service as its chart installs it, without a policy, for both kinds of addresses.
pub fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": ISTIO},
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "selector": {"app": NAME, "istio": "ingressgateway"},
            "ports": [{"name": "http2", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    })
}

/// The same with a policy.
pub fn with_policy(mut service: Value, policy: &str) -> Value {
    service["spec"]["externalTrafficPolicy"] = json!(policy);
    service
}

/// The pool of the gateway's addresses.
pub fn pool() -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "default-pool", "namespace": METALLB},
        "spec": {"addresses": POOL},
    })
}

/// An advertisement of the pool from the nodes that are selected; from every node if nothing is said.
pub fn advertisement(name: &str, node_selectors: Option<Value>) -> Value {
    let mut advertisement = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": METALLB},
        "spec": {"ipAddressPools": ["default-pool"]},
    });
    if let Some(selectors) = node_selectors {
        advertisement["spec"]["nodeSelectors"] = selectors;
    }
    advertisement
}

/// The seed's third step: the pool is announced from the gateway nodes.
pub fn right() -> Value {
    advertisement("default", Some(json!([{"matchLabels": {LABEL: ARP}}])))
}

/// A speaker's pod: speakers find each other by these.
pub fn speaker(node: Machine) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("speaker-{}", node.name),
            "namespace": METALLB,
            "labels": {"app": "metallb", "component": "speaker"},
        },
        "spec": {
            "nodeName": node.name,
            "hostNetwork": true,
            "containers": [{"name": "speaker", "image": "quay.io/metallb/speaker:v0.15.2"}],
        },
    })
}
