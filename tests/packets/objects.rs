//! The objects that people write: the gateway's Deployment and Service, the pool and its advertisements.

use serde_json::{Value, json};

use super::machines::{Machine, NODES, POOL, SECOND_POOL};

/// The seed's label of gateway nodes.
pub const LABEL: &str = "loadbalancerIPs.metallb.io";

/// Its value.
pub const ARP: &str = "arp";

/// The number of gateway pods.
pub const REPLICAS: usize = 2;

/// Where the gateway is, and its name.
pub const ISTIO: &str = "istio-system";

/// Where MetalLB is.
pub const METALLB: &str = "metallb-system";

/// The name of the gateway's Deployment and Service.
pub const NAME: &str = "istio-ingressgateway";

/// The label that keeps load balancers away from a node.
pub const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The taint of nodes that are reserved for ingress.
pub const TAINT: &str = "example.com/ingress";

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

/// Whether a node's network works, as a cloud's controller reports it.
pub fn network_condition(available: bool) -> Value {
    let unavailable = if available { "False" } else { "True" };
    json!({"type": "NetworkUnavailable", "status": unavailable, "reason": "NoRouteCreated"})
}

/// A node whose network does not work.
pub fn without_network(machine: Machine) -> Value {
    let mut node = node(machine);
    node["status"] = json!({"conditions": [network_condition(false)]});
    node
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

/// The same for nodes that are reserved for ingress.
pub fn tolerating(mut deployment: Value) -> Value {
    deployment["spec"]["template"]["spec"]["tolerations"] = json!([{"key": TAINT, "operator": "Exists"}]);
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

/// A second Service of the gateway, for its probes.
pub fn status_service() -> Value {
    let mut status = service();
    status["metadata"]["name"] = json!("istio-ingressgateway-status");
    status["spec"]["ports"] =
        json!([{"name": "status-port", "port": 15021, "targetPort": 8080, "protocol": "TCP"}]);
    status
}

/// A Service of something else that has an address of the gateway's pool.
pub fn other_service() -> Value {
    let mut other = service();
    other["metadata"] = json!({
        "name": "dashboard",
        "namespace": ISTIO,
        "annotations": {"metallb.io/address-pool": "default-pool"},
    });
    other["spec"]["selector"] = json!({"app": "dashboard"});
    other
}

/// The same, with consent to share its address.
pub fn sharing(mut service: Value) -> Value {
    service["metadata"]["annotations"] = json!({"metallb.io/allow-shared-ip": "istio"});
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

/// A pool with this label `tier`.
pub fn labelled(mut pool: Value, tier: &str) -> Value {
    pool["metadata"]["labels"] = json!({"tier": tier});
    pool
}

/// A pool that nobody has thought of.
pub fn second_pool() -> Value {
    let mut second = pool();
    second["metadata"]["name"] = json!("second-pool");
    second["spec"]["addresses"] = json!(SECOND_POOL);
    second
}

/// The advertisement of another pool.
pub fn of_pool(mut advertisement: Value, pool: &str) -> Value {
    advertisement["spec"]["ipAddressPools"] = json!([pool]);
    advertisement
}

/// The advertisement of pools with this label `tier`, whatever their names are.
pub fn of_tier(mut advertisement: Value, tier: &str) -> Value {
    let spec = advertisement["spec"].as_object_mut().unwrap();
    spec.remove("ipAddressPools");
    spec.insert("ipAddressPoolSelectors".to_owned(), json!([{"matchLabels": {"tier": tier}}]));
    advertisement
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

/// A speaker's pod, as MetalLB's manifests have it: speakers find each other by its labels.
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
            "containers": [{
                "name": "speaker",
                "image": "quay.io/metallb/speaker:v0.15.2",
                "args": speaker_arguments(node),
            }],
        },
    })
}

/// The arguments of the speaker in that pod.
pub fn speaker_arguments(node: Machine) -> [String; 6] {
    [
        format!("--namespace={METALLB}"),
        format!("--node-name={}", node.name),
        format!("--pod-name=speaker-{}", node.name),
        format!("--host={}", node.v4()),
        format!("--ml-bindaddr={}", node.v4()),
        "--ml-labels=app=metallb,component=speaker".to_owned(),
    ]
}
