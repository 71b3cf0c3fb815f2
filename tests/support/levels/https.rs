//! The running server, on manifests, called as the API server calls it.

use axum::http::StatusCode;
use base64::Engine;
use serde_json::Value;

use super::super::case::{Case, Outcome};
use super::super::https::{Connection, trusting};
use super::super::serve::Serve;

/// Posts the case to `/mutate`, and what came of it to `/validate`.
pub async fn judge(case: &Case) -> Outcome {
    let facts = tempfile::tempdir().unwrap();
    case.write_facts(facts.path());
    let serve = Serve::on_facts(facts.path()).await;
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    let mut outcome = Outcome::default();

    let mutated = post(&mut connection, "/mutate", case, &case.object).await;
    let denied = add(&mut outcome, &mutated);
    outcome.verdict = "deny".to_owned();
    if denied {
        return outcome;
    }
    let edited = patched(&case.object, &mutated);
    let validated = post(&mut connection, "/validate", case, &edited).await;
    assert!(validated.get("patch").is_none(), "`{}`: a validating webhook must not patch", case.name);
    if !add(&mut outcome, &validated) {
        outcome.edits = super::edits_between(&case.object, &edited);
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

/// The object with the answer's patch applied, by the library that made it none of its business.
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

/// Adds what the answer says; whether it denies.
fn add(outcome: &mut Outcome, response: &Value) -> bool {
    for warning in response["warnings"].as_array().into_iter().flatten() {
        outcome.warnings.insert(reason_of(warning.as_str().unwrap()));
    }
    if response["allowed"] == true {
        return false;
    }
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["reason"], "Forbidden");
    for cause in response["status"]["details"]["causes"].as_array().unwrap() {
        assert!(!cause["field"].as_str().unwrap().is_empty());
        outcome.denials.insert(cause["reason"].as_str().unwrap().to_owned());
    }
    true
}

/// The reason code of a warning: `rule REASON: text`.
pub fn reason_of(warning: &str) -> String {
    let reason = warning.split([' ', ':']).nth(1);
    reason.unwrap_or_else(|| panic!("a warning without a reason: {warning}")).to_owned()
}
