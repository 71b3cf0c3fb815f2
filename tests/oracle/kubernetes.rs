//! Kubernetes' own code as the oracle: label selectors, the nodes that a pod may run on, Services, and JSON patches.

mod pods;
mod selectors;
mod services;

use std::ops::Range;
use std::time::Instant;

use lockstep::admission::{self, Body, Decision, Review};
use lockstep::change::Phase;
use lockstep::manifests;
use lockstep::snapshot::{Inventory, Snapshot, Source};
use lockstep::verdict::Verdict;
use lockstep_test_support::control_plane::kubernetes_oracle;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::Oracle;
use crate::seeds;

/// The number of questions that are asked at once.
const BATCH: u64 = 500;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: String,
    matches: Vec<bool>,
    document: Value,
}

fn oracle() -> Oracle {
    Oracle::start(&kubernetes_oracle().expect("the oracle"))
}

/// Calls `ask` with the seeds of each batch of the run, and reports the rate. Returns the number of seeds.
fn in_batches(what: &str, mut ask: impl FnMut(Range<u64>)) -> usize {
    let (seeds, started) = (seeds(), Instant::now());
    let mut from = seeds.start;
    while from < seeds.end {
        let to = (from + BATCH).min(seeds.end);
        ask(from..to);
        from = to;
    }
    let count = seeds.end - seeds.start;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!(
        "evidence: {count} {what} from seed {} in {:.1?}, {rate:.0} a second",
        seeds.start,
        started.elapsed()
    );
    usize::try_from(count).expect("a number")
}

/// The snapshot of a cluster with one topology.
fn snapshot(spec: &Value) -> Snapshot {
    let topology = json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": "edge"},
        "spec": spec,
    });
    let mut inventory = Inventory::default();
    inventory.read.extend(Source::ALL);
    manifests::add_state(&mut inventory, &topology, "default").expect("a topology");
    Snapshot::new(&inventory)
}

/// The verdict on the creation of an object, and the patch in the response.
fn judge(object: &Value, phase: Phase, snapshot: &Snapshot) -> (Verdict, Option<Value>) {
    let kind = object["kind"].as_str().expect("a kind");
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "oracle", "operation": "CREATE", "dryRun": false,
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": format!("{}s", kind.to_lowercase())},
            "name": "gateway", "namespace": "istio-system", "userInfo": {"username": "alice", "groups": []},
            "object": object, "oldObject": null,
        },
    })
    .to_string();
    match admission::review(&Body::new(review.as_bytes()), phase, snapshot) {
        Ok(Review { decision: Decision::Judged { verdict, patch }, .. }) => {
            (verdict, patch.map(|patch| serde_json::to_value(patch).expect("JSON")))
        }
        other => panic!("{other:?}"),
    }
}
