//! What the tests put into clusters, and the reviews that they post.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use kube::{Client, CustomResourceExt};
use lockstep_core::topology::GatewayTopology;
use serde_json::{Value, json};

use crate::api;
use crate::control_plane::ControlPlane;
use crate::https::{Answer, get};

/// The label that the default topology places the gateway by.
pub const LABEL: &str = "loadbalancerIPs.metallb.io";

/// A probe that got no answer for this long is one that the webhook puts off.
const PROBE: Duration = Duration::from_millis(500);

/// Manifests with five nodes, a pool and no topology, which means the default one.
pub fn seed() -> PathBuf {
    crate::root().join("examples/seed")
}

/// A recorded creation of a gateway pod that says nothing about nodes: edited, or else denied.
pub fn review() -> Value {
    serde_json::from_slice(include_bytes!("../../../benches/reviews/pod.json")).unwrap()
}

/// The same in a namespace that no topology is about.
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

/// What the series of `/metrics` that start like this add up to.
pub async fn metric(admin: &str, series: &str) -> u64 {
    let (_, text) = get(admin, "/metrics").await;
    total(&text, series)
}

/// The same in a text that was got before.
pub fn total(metrics: &str, series: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The namespaces of the default topology, and two nodes of which one is the gateway's.
pub async fn furnish(client: &Client) {
    for name in ["istio-system", "metallb-system"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api::create(client, &namespace).await;
    }
    for (name, labels) in [("gateway-node", json!({LABEL: "arp"})), ("other-node", json!({}))] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
        api::create(client, &node).await;
    }
}

/// Installs the definition of topologies.
pub async fn install_topologies(control_plane: &ControlPlane) {
    let crd = serde_json::to_string(&GatewayTopology::crd()).unwrap();
    let installed = control_plane.install_crd(GatewayTopology::crd_name(), &crd).await;
    installed.unwrap();
}

/// The topology of which every field has its default.
pub fn topology() -> Value {
    json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
        "metadata": {"name": "ingress"}, "spec": {},
    })
}

/// A pod with these labels.
pub fn pod(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "proxy", "image": "istio/proxyv2"}]},
    })
}

/// The labels of the default gateway's pods.
pub fn gateway_labels() -> Value {
    json!({"app": "istio-ingressgateway", "istio": "ingressgateway"})
}

/// A pod of the gateway that says nothing about nodes.
pub fn gateway_pod(name: &str) -> Value {
    pod("istio-system", name, &gateway_labels())
}

/// A gateway Service that says nothing about the traffic policy.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "type": "LoadBalancer", "selector": gateway_labels(),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443}],
        },
    })
}

/// An advertisement of the gateway's pool, from every node.
pub fn wide_advertisement(name: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"ipAddressPools": ["default-pool"]},
    })
}

/// An advertisement of the gateway's pool from the gateway's nodes.
pub fn right_advertisement(name: &str) -> Value {
    let mut advertisement = wide_advertisement(name);
    advertisement["spec"]["nodeSelectors"] = json!([{"matchLabels": {LABEL: "arp"}}]);
    advertisement
}

/// The refusal of [`wide_advertisement`]: HTTP 403, with the node that proves it wrong.
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

/// Registers the webhook for ten seconds a call, and waits until the API server asks it: with `probes`, which
/// are objects for dry runs, at least one for `/mutate` and one for `/validate`.
pub async fn register(client: &Client, webhook: &str, ca_pem: &str, admin: &str, probes: &[Value]) {
    api::register(client, &webhook.replace("127.0.0.1", "localhost"), ca_pem).await;
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
        .expect("the API server never asks the webhook");
}

/// The series that counts a webhook's calls, whatever their answers.
pub fn calls(webhook: &str) -> String {
    format!("lockstep_review_duration_seconds_count{{webhook=\"{webhook}\"}}")
}
