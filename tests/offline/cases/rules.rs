//! Every case is judged by the rules alone, without a process or a socket.

use std::collections::BTreeSet;
use std::sync::Arc;

use json_patch::Patch;
use lockstep::admission::{self, Body, Decision, Review};
use lockstep::change::Phase;
use lockstep::manifests;
use lockstep::snapshot::{Declared, Inventory, KnownState, Snapshot};
use lockstep::topology::GatewayTopologySpec;
use lockstep::verdict::Verdict;
use serde_json::Value;

use lockstep_test_support::case::{Case, Outcome};
use lockstep_test_support::findings::{self, Finding};

/// Judges the case as the API server would: it mutates the object, then validates the result.
pub fn judge(case: &Case) -> (Outcome, Vec<Finding>) {
    let mut findings = Vec::new();
    let outcome = outcome(case, &mut findings);
    (outcome.with_texts(findings::whole(&findings)), findings)
}

fn outcome(case: &Case, findings: &mut Vec<Finding>) -> Outcome {
    let inventory = inventory(case);
    let facts = Snapshot::new(&inventory);
    let state = KnownState { inventory: Arc::new(inventory), metallb_kinds: Arc::default() };
    let facts = facts.with_state(Some(state));
    let (mutated, patch) = review(case, &case.object, Phase::Mutate, &facts);
    let mut outcome = Outcome { verdict: mutated.word().to_owned(), ..Outcome::default() };
    add(&mut outcome, findings, &mutated);
    let (alone, _) = review(case, &case.object, Phase::Validate, &facts);
    assert_stands_alone(case, &mutated, &alone);
    if mutated.is_denied() {
        return outcome;
    }
    let edited = patched(case, patch);
    assert_eq!(edited, admission::edited(&case.object, &mutated.edits).unwrap(), "`{}`", case.name);
    let (again, _) = review(case, &edited, Phase::Mutate, &facts);
    assert!(
        again.edits.is_empty(),
        "`{}`: the mutated object is mutated again: {:?}",
        case.name,
        again.edits
    );
    let (validated, _) = review(case, &edited, Phase::Validate, &facts);
    add(&mut outcome, findings, &validated);
    if validated.is_denied() {
        outcome.verdict = "deny".to_owned();
    } else {
        outcome.edits = lockstep_test_support::levels::edits_between(&case.object, &edited);
    }
    outcome
}

/// Asserts that without a call of the mutating webhook, the validating webhook denies what the mutating webhook would
/// have denied.
fn assert_stands_alone(case: &Case, mutated: &Verdict, alone: &Verdict) {
    let denials =
        |verdict: &Verdict| verdict.denials().map(|finding| finding.reason).collect::<BTreeSet<_>>();
    if case.operation == "CREATE" {
        assert!(denials(alone).is_superset(&denials(mutated)), "`{}`: {alone:?}", case.name);
    }
}

fn review(case: &Case, object: &Value, phase: Phase, facts: &Snapshot) -> (Verdict, Option<Patch>) {
    let review = case.review(object);
    let bytes = serde_json::to_vec(&review).unwrap();
    match admission::review(&Body::new(&bytes), phase, facts) {
        Ok(Review { decision: Decision::Judged { verdict, patch }, .. }) => (verdict, patch),
        other => panic!("`{}`: {other:?}", case.name),
    }
}

/// Returns the object that the API server would store. The patch was made without the whole object.
fn patched(case: &Case, patch: Option<Patch>) -> Value {
    let mut patched = case.object.clone();
    if let Some(patch) = patch {
        json_patch::patch(&mut patched, &patch).unwrap();
    }
    patched
}

/// Adds the new findings of a verdict, because both phases may have the same finding.
fn add(outcome: &mut Outcome, findings: &mut Vec<Finding>, verdict: &Verdict) {
    for finding in verdict.findings.iter().map(Finding::from) {
        outcome.add(&finding.severity, &finding.reason);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

fn inventory(case: &Case) -> Inventory {
    let mut inventory = Inventory::default();
    for topology in &case.topologies {
        let spec: GatewayTopologySpec = serde_json::from_value(topology["spec"].clone()).unwrap();
        spec.check().unwrap();
        let name = topology["metadata"]["name"].as_str().unwrap();
        inventory.topologies.insert(name.to_owned(), Declared { generation: 1, created: None, spec });
    }
    for object in &case.objects {
        let added = manifests::add_state(&mut inventory, object, "default").unwrap();
        inventory.read.extend(added);
    }
    inventory.infer_settings();
    inventory
}
