//! Every case at every level.

mod support;

use lockstep::admission::{self, Outcome as Review, Phase};
use lockstep::facts::{Declared, Facts, Inventory, ObjectKey};
use lockstep::topology::GatewayTopologySpec;
use lockstep::verdict::{Severity, Verdict};
use serde_json::Value;
use std::sync::Arc;
use support::case::{self, Case, Outcome};

fn inventory(case: &Case) -> Inventory {
    let mut inventory = Inventory::default();
    for topology in &case.topologies {
        let spec: GatewayTopologySpec = serde_json::from_value(topology["spec"].clone()).unwrap();
        spec.check().unwrap();
        let name = topology["metadata"]["name"].as_str().unwrap();
        inventory.topologies.insert(name.to_owned(), Declared { generation: 1, spec });
    }
    for object in &case.objects {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey { namespace: text("namespace"), name: text("name") };
        let labels = || serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
        match object["kind"].as_str().unwrap() {
            "Node" => drop(inventory.nodes.insert(key.name, Arc::new(labels()))),
            "IPAddressPool" => drop(inventory.pools.insert(key, labels())),
            "L2Advertisement" => {
                let spec = object.get("spec").cloned().unwrap_or(Value::Object(Default::default()));
                inventory.advertisements.insert(key, serde_json::from_value(spec).unwrap());
            }
            "Service" => drop(inventory.services.insert(key, serde_json::from_value(object.clone()).unwrap())),
            "Pod" => drop(inventory.pods.insert(key, labels())),
            "DaemonSet" => {}
            other => panic!("`{}`: unexpected kind {other}", case.name),
        }
    }
    inventory
}

fn judge(case: &Case, object: &Value, phase: Phase, facts: &Facts) -> Verdict {
    let body = serde_json::to_vec(&case.review(object)).unwrap();
    match admission::review(&body, phase, facts) {
        Review::Judged { verdict, .. } => verdict,
        other => panic!("`{}`: {other:?}", case.name),
    }
}

fn at_rules(case: &Case) -> Outcome {
    let facts = Facts::new(&inventory(case));
    let mutated = judge(case, &case.object, Phase::Mutate, &facts);
    let mut outcome = Outcome { verdict: mutated.word().to_owned(), ..Outcome::default() };
    add(&mut outcome, &mutated);
    let edited = admission::edited(&case.object, &mutated.edits).unwrap();
    for edit in &mutated.edits {
        let tokens: Vec<String> = edit.field.tokens().map(Into::into).collect();
        drop(tokens);
    }
    outcome.edits = difference(&case.object, &edited);
    if !mutated.is_denied() {
        assert!(judge(case, &edited, Phase::Mutate, &facts).edits.is_empty(), "`{}`: mutated twice", case.name);
        let validated = judge(case, &edited, Phase::Validate, &facts);
        add(&mut outcome, &validated);
        if validated.is_denied() {
            outcome.verdict = "deny".to_owned();
            outcome.edits.clear();
        }
    }
    outcome
}

fn add(outcome: &mut Outcome, verdict: &Verdict) {
    for finding in &verdict.findings {
        let code = finding.reason.code().to_owned();
        match finding.severity {
            Severity::Deny => drop(outcome.denials.insert(code)),
            Severity::Warn => drop(outcome.warnings.insert(code)),
            Severity::Audit => {}
        }
    }
}

fn difference(before: &Value, after: &Value) -> std::collections::BTreeMap<String, Value> {
    fn walk(before: Option<&Value>, after: &Value, at: String, found: &mut std::collections::BTreeMap<String, Value>) {
        match (before, after) {
            (Some(before), after) if before == after => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                for (key, value) in after {
                    let token = key.replace('~', "~0").replace('/', "~1");
                    walk(before.get(key), value, format!("{at}/{token}"), found);
                }
            }
            _ => drop(found.insert(at, after.clone())),
        }
    }
    let mut found = std::collections::BTreeMap::new();
    walk(Some(before), after, String::new(), &mut found);
    found
}

#[test]
fn rules() {
    let cases = case::all();
    let mut wrong = Vec::new();
    for case in &cases {
        let outcome = at_rules(case);
        if outcome != case.expected {
            wrong.push(format!("{}\n  expected {:?}\n  got      {:?}", case.name, case.expected, outcome));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
