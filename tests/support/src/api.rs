//! Requests to the API server as raw JSON, so that tests see status codes and warnings.

use hyper::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value};

/// A response of the API server.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The id of the request's event in the audit log.
    pub audit_id: String,
    /// The object, or the `Status` of an error.
    pub body: Value,
}

/// Sends one request.
pub async fn call(client: &Client, method: Method, path: &str, content_type: &str, body: &Value) -> Answer {
    try_call(client, method, path, content_type, body).await.unwrap()
}

/// Sends one request to an API server that may be unavailable.
pub async fn try_call(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> kube::Result<Answer> {
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .header("accept", "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = client.send(request).await?;
    let status = response.status();
    let warnings =
        response.headers().get_all("warning").iter().map(|header| warning_text(header.as_bytes())).collect();
    let audit_id = response.headers().get("audit-id").and_then(|id| id.to_str().ok());
    let audit_id = audit_id.unwrap_or_default().to_owned();
    let bytes = response.into_body().collect_bytes().await?;
    Ok(Answer { status, warnings, audit_id, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

/// Creates an object, and fails the test on any error.
pub async fn create(client: &Client, object: &Value) -> Value {
    let answer = post(client, object, false).await;
    assert!(answer.status.is_success(), "cannot create {object}: {}", answer.body);
    answer.body
}

/// Posts an object to the collection of its kind.
pub async fn post(client: &Client, object: &Value, dry_run: bool) -> Answer {
    try_post(client, object, dry_run).await.unwrap()
}

/// Posts an object to the collection of its kind, on an API server that may be unavailable.
pub async fn try_post(client: &Client, object: &Value, dry_run: bool) -> kube::Result<Answer> {
    let path = format!("{}{}", collection(object), if dry_run { "?dryRun=All" } else { "" });
    try_call(client, Method::POST, &path, "application/json", object).await
}

/// Changes a stored object from `old` to `new` by a merge patch.
pub async fn change(client: &Client, old: &Value, new: &Value) -> Answer {
    call(client, Method::PATCH, &path_of(old), "application/merge-patch+json", &merge_patch(old, new)).await
}

/// Deletes an object.
pub async fn delete(client: &Client, object: &Value) -> Answer {
    call(client, Method::DELETE, &path_of(object), "application/json", &Value::Null).await
}

/// Returns the path of an object.
pub fn path_of(object: &Value) -> String {
    format!("{}/{}", collection(object), object["metadata"]["name"].as_str().unwrap())
}

fn collection(object: &Value) -> String {
    let api_version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap();
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    let plural = match kind {
        "GatewayTopology" | "NetworkPolicy" | "ValidatingAdmissionPolicy" => {
            format!("{}ies", kind.trim_end_matches('y').to_lowercase())
        }
        "ServiceL2Status" => "servicel2statuses".to_owned(),
        _ => format!("{}s", kind.to_lowercase()),
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{api_version}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{api_version}/{plural}"),
    }
}

/// Returns a JSON merge patch (RFC 7396) that turns `old` into `new`.
fn merge_patch(old: &Value, new: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        match before.get(key) {
            Some(held) if held == value => {}
            Some(held) => drop(patch.insert(key.clone(), merge_patch(held, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

/// Returns the text in `299 - "text"`, whose quotes are escaped by backslashes.
fn warning_text(header: &[u8]) -> String {
    let header = String::from_utf8_lossy(header);
    let quoted = header.split_once('"').map_or("", |(_, rest)| rest);
    quoted.trim_end_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")
}
