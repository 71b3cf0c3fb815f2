//! A large cluster for benchmarks. Each topology has twenty nodes, two pools with one advertisement each, and four Services.

use lockstep::manifests::add_state;
use lockstep::snapshot::{Inventory, Source};
use serde_json::{Value, json};

/// The number of topologies of the large cluster.
pub const LARGE: usize = 500;

pub fn topology_name(number: usize) -> String {
    format!("topology-{number:03}")
}

/// Builds the state from whole objects, one at a time, as a reader of a cluster does.
pub fn inventory(topologies: usize) -> Inventory {
    let mut inventory = Inventory { read: Source::ALL.into(), ..Inventory::default() };
    let mut add = |object: Value| {
        add_state(&mut inventory, &object, "default").expect("the API server accepts the object");
    };
    for number in 0..topologies * 20 {
        let name = format!("node-{number:05}");
        add(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "m5.xlarge",
            "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
            "gateway": format!("g{}", number / 20),
        }}, "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "False"}]}}));
        add(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("speaker-{number:05}"), "namespace": "metallb-system",
                "labels": {"app": "metallb", "component": "speaker"}},
            "spec": {"nodeName": name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    for number in 0..topologies * 2 {
        let pool = format!("pool-{number:04}");
        let labels = json!({"gateway": format!("g{}", number / 2)});
        add(json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": pool, "namespace": "metallb-system"},
            "spec": {"addresses": [format!("10.{}.{}.0/24", number / 250, number % 250)]}}));
        add(json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
            "metadata": {"name": format!("advertisement-{number:04}"), "namespace": "metallb-system"},
            "spec": {"ipAddressPools": [pool], "nodeSelectors": [{"matchLabels": labels}]}}));
    }
    for number in 0..topologies {
        add_gateway(number, &mut add);
    }
    inventory
}

fn add_gateway(number: usize, add: &mut impl FnMut(Value)) {
    let namespace = format!("edge-{number}");
    let labels = json!({"app": format!("gateway-{number}")});
    add(json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
    "metadata": {"name": topology_name(number)},
    "spec": {
        "gateway": {"namespace": namespace, "podLabels": labels},
        "placement": {"nodeSelector": {"gateway": format!("g{number}")}},
        "addressPools": [format!("pool-{:04}", number * 2), format!("pool-{:04}", number * 2 + 1)],
    }}));
    let nodes = [format!("node-{:05}", number * 20), format!("node-{:05}", number * 20 + 1)];
    for (index, node) in nodes.iter().enumerate() {
        add(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("gateway-{index}"), "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node}}));
    }
    for service in 0..4 {
        let name = format!("gateway-{service}");
        // One Service in eight has the policy `Cluster`, so that all of its candidates are ranked.
        let policy = if (number * 4 + service).is_multiple_of(8) { "Cluster" } else { "Local" };
        let pool = number * 2 + service % 2;
        add(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"type": "LoadBalancer", "selector": labels, "externalTrafficPolicy": policy},
            "status": {"loadBalancer": {"ingress":
                [{"ip": format!("10.{}.{}.{}", pool / 250, pool % 250, service + 1)}]}}}));
        let endpoints: Vec<Value> =
            nodes.iter().map(|node| json!({"addresses": ["10.0.0.1"], "nodeName": node})).collect();
        add(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints}));
    }
}
