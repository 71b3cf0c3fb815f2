//! The assessment of a large cluster: 10,000 nodes, 1,000 pools, 1,000 advertisements, 500 topologies and 2,000 Services.
//!
//! Printed are the time of a full assessment on one core, the time to explain one topology with its nodes once the state
//! is loaded, the time that one relabelled node costs, all as medians, and the resident memory. `--smoke` measures a small cluster once.

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep::assessment::{Assessment, Assessor, Changes, CurrentAssessments, NodeScope};
use lockstep::election::MetalLbVersion;
use lockstep::labels::Labels;
use lockstep::manifests::add_state;
use lockstep::snapshot::{Inventory, Snapshot, Source};
use serde_json::{Value, json};

/// The number of topologies. Each has twenty nodes, two pools with one advertisement each, and four Services.
const LARGE: usize = 500;
const SMALL: usize = 5;

fn main() -> ExitCode {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let (topologies, rounds) = if is_smoke { (SMALL, 1) } else { (LARGE, 9) };
    let inventory = inventory(topologies);
    println!(
        "{} nodes, {} pools, {} advertisements, {topologies} topologies, {} Services",
        inventory.nodes.len(),
        inventory.pools.len(),
        inventory.advertisements.len(),
        inventory.services.len()
    );
    let version = MetalLbVersion::default();

    let full = median(rounds, || {
        let assessment = Assessment::of(&inventory, version);
        assert_eq!(assessment.topologies.len(), topologies, "a topology is missing");
        black_box(assessment);
    });
    println!("full assessment: {:.0} ms", milliseconds(full));

    let snapshot = Snapshot::new(&inventory);
    let one = {
        let assessor = Assessor::new(&inventory, &snapshot, version);
        let name = topology_name(topologies / 2);
        median(rounds, || {
            let explained = assessor.topology(&name, Some(NodeScope::Relevant)).expect("the topology exists");
            assert_eq!(explained.services.len(), 4, "a Service is missing");
            black_box(explained);
        })
    };
    println!("one topology explained, after loading: {:.2} ms", milliseconds(one));

    drop(snapshot);
    let (snapshot, event) = relabel(inventory, rounds, version);
    println!("one node relabelled, snapshot for reviews: {:.2} ms", milliseconds(snapshot));
    println!("one node relabelled, assessments beside it: {:.2} ms", milliseconds(event));

    match resident() {
        Some(megabytes) => println!("resident: {megabytes:.0} MB"),
        None => println!("resident: this system does not report it"),
    }
    ExitCode::SUCCESS
}

/// Relabels one gateway node again and again. Returns the median times of the snapshot for reviews, and of the assessments
/// that follow it.
fn relabel(mut inventory: Inventory, rounds: usize, version: MetalLbVersion) -> (Duration, Duration) {
    let mut current = CurrentAssessments::default();
    current.update(&inventory, &Snapshot::new(&inventory), version, &Changes::default());
    let name = inventory.nodes.keys().nth(inventory.nodes.len() / 2).expect("there are nodes").clone();
    let kept = Arc::clone(&inventory.nodes[&name]);
    let (mut snapshots, mut updates) = (Vec::new(), Vec::new());
    for round in 0..rounds * 2 {
        let labels = if round % 2 == 0 { Arc::new(Labels::new()) } else { Arc::clone(&kept) };
        let before = inventory.nodes.insert(name.clone(), Arc::clone(&labels)).expect("the node exists");
        let start = Instant::now();
        let snapshot = Snapshot::new(&inventory);
        snapshots.push(start.elapsed());
        let start = Instant::now();
        let mut changes = Changes::default();
        changes.add_node(&name, Some(&before), Some(&labels));
        let assessed = current.update(&inventory, &snapshot, version, &changes);
        updates.push(start.elapsed());
        assert_eq!(assessed.len(), 1, "the node concerns one topology");
    }
    snapshots.sort_unstable();
    updates.sort_unstable();
    (snapshots[rounds], updates[rounds])
}

fn median(rounds: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[rounds / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Returns the resident memory of this process in MB.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1_000.0)
}

fn topology_name(number: usize) -> String {
    format!("topology-{number:03}")
}

/// Builds the state from whole objects, one at a time, as a reader of a cluster does.
fn inventory(topologies: usize) -> Inventory {
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
