//! Recorded reviews, their responses, and a server on manifests that answers them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::https::{Answer, Connection, trusting};
use crate::serve::Serve;

/// The path of manifests with five nodes, a pool and no topology, so the default one applies.
pub fn seed() -> PathBuf {
    crate::root().join("examples/seed")
}

/// Starts a server on these manifests, with further arguments.
pub async fn serve(arguments: &[&str]) -> Serve {
    let seed = seed();
    let facts = ["--facts", seed.to_str().unwrap(), "--drain", "0"];
    Serve::start(&[&facts, arguments].concat(), None).await
}

/// Connects to a running server and verifies its certificate.
pub async fn connect(serve: &Serve) -> Connection {
    Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await
}

/// A recorded creation of a gateway pod without a node selector: the webhook edits or denies it.
pub fn review() -> Value {
    serde_json::from_slice(include_bytes!("../../../benches/reviews/pod.json")).unwrap()
}

/// The review with another user and object: every name in it that a user chooses contains `number`.
pub fn of_somebody(number: usize, namespace: &str) -> Value {
    let mut review = review();
    let request = &mut review["request"];
    request["uid"] = format!("uid-{number}").into();
    request["name"] = format!("pod-{number}").into();
    request["namespace"] = namespace.into();
    request["userInfo"] =
        json!({"username": format!("user-{number}"), "groups": [format!("group-{number}")]});
    request["dryRun"] = (number % 2 == 1).into();
    let metadata = &mut request["object"]["metadata"];
    metadata["name"] = format!("pod-{number}").into();
    metadata["namespace"] = namespace.into();
    metadata["labels"][format!("label-{number}")] = format!("value-{number}").into();
    review
}

/// The review in a namespace without a topology.
pub fn review_elsewhere() -> Value {
    let mut review = review();
    review["request"]["namespace"] = "elsewhere".into();
    review["request"]["object"]["metadata"]["namespace"] = "elsewhere".into();
    review
}

/// The `response` of an `AdmissionReview`.
pub fn response(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", text(answer));
    let mut review: Value = serde_json::from_slice(&answer.body).unwrap();
    review["response"].take()
}

/// The body as text.
pub fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}
