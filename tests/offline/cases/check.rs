//! Every case is judged by `lockstep check`, as a process, on manifests.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use lockstep_test_support::case::{Case, Outcome};
use lockstep_test_support::findings::{self, Finding};

/// Judges the recorded request of the case. Every case has one.
pub fn judge_review(case: &Case) -> Outcome {
    judge(case, &case.review(&case.object))
}

/// Judges the object as a manifest, as if it were created.
pub fn judge_manifest(case: &Case) -> Outcome {
    judge(case, &case.object)
}

fn judge(case: &Case, input: &Value) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let facts = folder.path().join("facts");
    std::fs::create_dir(&facts).unwrap();
    case.write_facts(&facts);
    let file = folder.path().join("judged.json");
    std::fs::write(&file, input.to_string()).unwrap();
    let (code, report) = check(&facts, &file);
    let object = &report["objects"][0];
    let outcome = outcome(object);
    let expected_code = i32::from(outcome.verdict == "deny");
    assert_eq!(code, Some(expected_code), "`{}`: exit code for {report}", case.name);
    Outcome { edits: edits(case, object), ..outcome }
}

fn check(facts: &Path, file: &Path) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["check", "--format", "json", "--facts"])
        .arg(facts)
        .arg(file)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

fn outcome(object: &Value) -> Outcome {
    let mut outcome =
        Outcome { verdict: object["verdict"].as_str().unwrap().to_owned(), ..Outcome::default() };
    let findings: Vec<Finding> = serde_json::from_value(object["findings"].clone()).unwrap();
    for finding in &findings {
        outcome.add(&finding.severity, &finding.reason);
    }
    outcome.with_texts(findings::whole(&findings))
}

/// Returns the edits as the differences that they make.
fn edits(case: &Case, object: &Value) -> std::collections::BTreeMap<String, Value> {
    let mut edited = case.object.clone();
    for edit in object["edits"].as_array().into_iter().flatten() {
        let pointer = edit["pointer"].as_str().unwrap();
        let mut at = &mut edited;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            if at.is_null() {
                *at = Value::Object(Default::default());
            }
            at = at.as_object_mut().unwrap().entry(token).or_insert(Value::Null);
        }
        *at = edit["value"].clone();
    }
    lockstep_test_support::levels::edits_between(&case.object, &edited)
}
