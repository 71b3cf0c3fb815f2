//! `lockstep serve` as the webhook of a real API server: its configuration and its counters.

use std::time::Duration;

use base64::Engine;
use hyper::Method;
use kube::Client;
use serde_json::{Value, json};

use super::api;
use super::https::get;
use super::objects::{LABEL, namespace, node};

/// A probe without a response after this time has got a 503 from the webhook, which the API server retries.
const PROBE: Duration = Duration::from_millis(500);

/// Creates the namespaces of the default topology, and two nodes, of which one is a gateway node.
pub async fn furnish(client: &Client) {
    for name in ["istio-system", "metallb-system"] {
        api::create(client, &namespace(name)).await;
    }
    for (name, labels) in [("gateway-node", json!({LABEL: "arp"})), ("other-node", json!({}))] {
        api::create(client, &node(name, &labels)).await;
    }
}

/// Registers a running webhook for every kind that the rules judge.
pub async fn register(client: &Client, address: &str, ca_pem: &str) {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    let webhook = |name: &str, path: &str, rules: Value| {
        json!([{
            "name": name,
            "clientConfig": {"url": format!("https://{address}{path}"), "caBundle": ca},
            "rules": rules,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "timeoutSeconds": 5,
        }])
    };
    let rule = |group: &str, version: &str, resources: &[&str], operations: &[&str]| json!({"apiGroups": [group], "apiVersions": [version], "resources": resources, "operations": operations});
    let both = ["CREATE", "UPDATE"];
    let mutating = json!([
        rule("", "v1", &["pods"], &["CREATE"]),
        rule("", "v1", &["services"], &both),
        rule("apps", "v1", &["daemonsets"], &both),
    ]);
    let validating = json!([
        rule("", "v1", &["pods"], &both),
        rule("", "v1", &["services"], &both),
        rule("apps", "v1", &["daemonsets", "deployments", "replicasets", "statefulsets"], &both),
        rule(
            "metallb.io",
            "v1beta1",
            &["l2advertisements", "bgpadvertisements", "ipaddresspools", "addresspools"],
            &["CREATE", "UPDATE", "DELETE"],
        ),
    ]);
    let mut mutate = webhook("mutate.lockstep.dev", "/mutate", mutating);
    mutate[0]["reinvocationPolicy"] = "IfNeeded".into();
    for (kind, plural, webhooks) in [
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", mutate),
        (
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            webhook("validate.lockstep.dev", "/validate", validating),
        ),
    ] {
        let body = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "lockstep"},
            "webhooks": webhooks,
        });
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
        let answer = api::call(client, Method::POST, &path, "application/json", &body).await;
        assert!(answer.status.is_success(), "cannot register: {}", answer.body);
    }
}

/// Registers the webhook with a timeout of 10 s, and waits until the API server calls it with `probes`. These are
/// objects for dry runs, at least one for `/mutate` and one for `/validate`.
pub async fn register_and_wait(client: &Client, webhook: &str, ca_pem: &str, admin: &str, probes: &[Value]) {
    register(client, &webhook.replace("127.0.0.1", "localhost"), ca_pem).await;
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep");
        let patch = json!([{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 10}]);
        let answer = api::call(client, Method::PATCH, &path, "application/json-patch+json", &patch).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let asked = async {
        while metric(admin, &calls("mutate")).await == 0 || metric(admin, &calls("validate")).await == 0 {
            for probe in probes {
                let _ = tokio::time::timeout(PROBE, api::post(client, probe, true)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .expect("the API server does not call the webhook");
}

/// The series that counts a webhook's calls, with any response.
pub fn calls(webhook: &str) -> String {
    format!("lockstep_review_duration_seconds_count{{webhook=\"{webhook}\"}}")
}

/// The sum of the series in `/metrics` with this prefix.
pub async fn metric(admin: &str, series: &str) -> u64 {
    let (_, text) = get(admin, "/metrics").await;
    total(&text, series)
}

/// The sum of the series with this prefix in a text of `/metrics`.
pub fn total(metrics: &str, series: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Asserts the rejection of [`wide_advertisement`](crate::objects::wide_advertisement): HTTP 403, with a node as the
/// witness.
pub fn assert_refused_as_wider(answer: &api::Answer) {
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(answer.body["reason"], "Forbidden");
    assert!(
        message.contains("validate.lockstep.dev\" denied the request: ")
            && message
                .contains(&format!("a node without the label `{LABEL}` would announce pool `default-pool`")),
        "{message}"
    );
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "WIDER");
}
