//! The assessment of a large cluster: 10,000 nodes, 1,000 pools, 1,000 advertisements, 500 topologies and 2,000 Services.
//!
//! Printed are the time of a full assessment on one core, the time to explain one topology with its nodes once the state
//! is loaded, the time of a review that is judged by the state, the time that one relabelled node costs, all as medians, and the resident memory. `--smoke` measures a small cluster once, `--topologies NUMBER` another one with
//! twenty times as many nodes.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

#[path = "state/cluster.rs"]
mod cluster;

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep::admission::{self, Body};
use lockstep::assessment::{Assessment, Assessor, Changes, CurrentAssessments, NodeScope};
use lockstep::change::Phase;
use lockstep::election::MetalLbVersion;
use lockstep::labels::Labels;
use lockstep::snapshot::{Inventory, KnownState, Snapshot};
use serde_json::json;

use cluster::{LARGE, inventory, topology_name};

/// The number of topologies with `--smoke`.
const SMALL: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let wanted = arguments.iter().skip_while(|argument| *argument != "--topologies").nth(1);
    let wanted = wanted.map(|number| number.parse().expect("`--topologies` takes a number"));
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    let (topologies, rounds) = if is_smoke { (SMALL, 1) } else { (wanted.unwrap_or(LARGE), 9) };
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

    println!("a pool's range moved, judged by the state: {:.1} ms", milliseconds(judged(&inventory, rounds)));

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

/// Returns the median time of a review that is judged by the state before and after it: a pool's range is moved away from
/// the addresses of a topology.
fn judged(inventory: &Inventory, rounds: usize) -> Duration {
    let state = KnownState { inventory: Arc::new(inventory.clone()), ..KnownState::default() };
    let snapshot = Snapshot::new(inventory).with_state(Some(state));
    let pool = |range: &str| {
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": "pool-0001", "namespace": "metallb-system"}, "spec": {"addresses": [range]}})
    };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "UPDATE", "namespace": "metallb-system", "name": "pool-0001",
        "kind": {"group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool"},
        "resource": {"group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools"},
        "object": pool("10.250.0.0/24"), "oldObject": pool("10.0.1.0/24")}});
    let body = review.to_string().into_bytes();
    median(rounds, || {
        let body = Body::new(&body);
        let reviewed = admission::review(&body, Phase::Validate, &snapshot);
        let response = reviewed.expect("a review").response;
        let is_denied = String::from_utf8_lossy(&response).contains("SILENT");
        assert!(is_denied, "{}", String::from_utf8_lossy(&response));
    })
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
