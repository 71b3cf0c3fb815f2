//! The states in `tests/cases/state`, as objects of a real API server.

use std::path::Path;

use hyper::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use crate::api::{call, create, path_of};

/// The objects of a state, with the fields that the API server requires and an assessment does not read.
///
/// # Panics
/// If the file cannot be read.
#[must_use]
pub fn stored_objects(state: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(state).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let complete = |mut object: Value| {
        match object["kind"].as_str() {
            Some("Pod") if object["spec"]["containers"].is_null() => {
                object["spec"]["containers"] = json!([{"name": "proxy", "image": "istio/proxyv2"}]);
            }
            Some("Deployment" | "StatefulSet" | "DaemonSet") => {
                object["spec"]["template"]["spec"]["containers"] =
                    json!([{"name": "proxy", "image": "istio/proxyv2"}]);
            }
            Some("Service") => object["spec"]["ports"] = json!([{"port": 443}]),
            Some("EndpointSlice") if object["addressType"].is_null() => object["addressType"] = json!("IPv4"),
            _ => {}
        }
        object
    };
    objects.into_iter().filter(|object| !object.is_null()).map(complete).collect()
}

/// Creates objects with their status.
///
/// # Panics
/// If the API server refuses one.
pub async fn put(client: &Client, objects: &[Value]) {
    for object in objects {
        create(client, object).await;
        if object["kind"] == "Node" {
            // The API server taints a new node as not ready until its kubelet reports.
            let taints = json!({"spec": {"taints": object["spec"]["taints"]}});
            patch(client, &path_of(object), &taints).await;
        }
        if !object["status"].is_null() {
            let path = format!("{}/status", path_of(object));
            patch(client, &path, &json!({"status": object["status"]})).await;
        }
    }
}

/// Merges a patch into an object.
///
/// # Panics
/// If the API server refuses it.
pub async fn patch(client: &Client, path: &str, patch: &Value) {
    let answer = call(client, Method::PATCH, path, "application/merge-patch+json", patch).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
}
