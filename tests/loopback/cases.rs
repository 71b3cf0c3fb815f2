//! Every case is judged by the running server, on manifests, called as the API server calls it.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use base64::Engine;
use futures::StreamExt;
use serde_json::Value;

use lockstep_test_support::case::{self, Case, Outcome};
use lockstep_test_support::findings::{self, Finding};
use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::levels::{add_causes, add_warning, difference, edits_between, settle};
use lockstep_test_support::serve::Serve;

/// The number of servers that run at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_over_https() {
    let cases = case::all();
    let judged = futures::stream::iter(&cases).map(judge).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let expected = |case: &Case| case.expected.with_texts(texts(&case.findings));
    let pairs = cases.iter().zip(&judged);
    let differences: Vec<String> =
        pairs.filter_map(|(case, outcome)| difference(case, &expected(case), outcome)).collect();
    settle("https", cases.len(), &differences);
}

/// Posts the case to `/mutate` and the result to `/validate`, and reads the records of both from the decision log.
async fn judge(case: &Case) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let facts = folder.path().join("facts");
    std::fs::create_dir(&facts).unwrap();
    case.write_facts(&facts);
    let log = folder.path().join("audit.log");
    let arguments =
        ["--facts", facts.to_str().unwrap(), "--drain", "0", "--audit-log", log.to_str().unwrap()];
    let mut serve = Serve::start(&arguments, None).await;
    let mut outcome = judge_by(&serve, case).await;
    // The log is complete once the process has ended.
    serve.signal("TERM");
    serve.ended().await;
    add_records(&mut outcome, &std::fs::read_to_string(&log).unwrap());
    outcome
}

/// Returns the expected texts: those of the responses, the annotations of the most severe finding, and all findings in
/// the decision log.
fn texts(findings: &[Finding]) -> BTreeSet<String> {
    let annotated = findings::headline(findings).map(Finding::annotated);
    let recorded = findings.iter().map(Finding::recorded);
    findings::answered(findings).into_iter().chain(annotated).chain(recorded).collect()
}

async fn judge_by(serve: &Serve, case: &Case) -> Outcome {
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    let mut outcome = Outcome { verdict: "deny".to_owned(), ..Outcome::default() };
    let mutated = post(&mut connection, "/mutate", case, &case.object).await;
    if add(&mut outcome, case, &mutated) {
        return outcome;
    }
    let edited = patched(&case.object, &mutated);
    let validated = post(&mut connection, "/validate", case, &edited).await;
    assert!(validated.get("patch").is_none(), "`{}`: a validating webhook must not patch", case.name);
    if !add(&mut outcome, case, &validated) {
        outcome.edits = edits_between(&case.object, &edited);
        outcome.verdict = if outcome.edits.is_empty() { "allow" } else { "edit" }.to_owned();
    }
    outcome
}

async fn post(connection: &mut Connection, path: &str, case: &Case, object: &Value) -> Value {
    let review = case.review(object);
    let answer = connection.post(path, review.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "`{}`: {:?}", case.name, answer.body);
    let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].take()
}

/// Returns the object with the response's patch applied, by a library that the program does not use for it.
fn patched(object: &Value, response: &Value) -> Value {
    let mut patched = object.clone();
    if let Some(patch) = response.get("patch") {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(patch.as_str().unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
    }
    patched
}

/// Adds the findings and texts of the response. Returns whether it denies.
fn add(outcome: &mut Outcome, case: &Case, response: &Value) -> bool {
    for warning in response["warnings"].as_array().into_iter().flatten() {
        add_warning(outcome, warning.as_str().unwrap());
    }
    let annotations = &response["auditAnnotations"];
    if annotations.is_object() {
        let text = |key: &str| annotations[key].as_str().unwrap_or_default();
        let seen = findings::annotation(["rule", "reason", "topology", "witness"].map(text));
        outcome.texts.extend(findings::annotations(&case.findings, [seen]));
    }
    if response["allowed"] == true {
        return false;
    }
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["reason"], "Forbidden");
    outcome.texts.insert(findings::denied(response["status"]["message"].as_str().unwrap()));
    add_causes(outcome, &response["status"]);
    true
}

/// Adds the findings in the decision log. Those of severity Audit appear nowhere else.
fn add_records(outcome: &mut Outcome, log: &str) {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for finding in lines.flat_map(|line| line["findings"].as_array().cloned().unwrap_or_default()) {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        if text("severity") == "audit" {
            outcome.add("audit", text("reason"));
        }
        outcome.texts.insert(recorded(&finding));
    }
}

/// Formats a finding of the decision log like [`Finding::recorded`].
fn recorded(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let [severity, rule, reason, field] = ["severity", "rule", "reason", "field"].map(text);
    let [topology, message, witness] = ["topology", "message", "witness"].map(text);
    let nodes: Vec<&str> =
        finding["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    findings::recorded([severity, rule, reason, field, topology, message, witness], &nodes)
}
