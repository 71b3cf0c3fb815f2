//! The node guard on real API servers, without any replica: the policies hold by themselves.

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep_test_support::api::{self, Answer, call};
use lockstep_test_support::control_plane::{Kubernetes, Options};
use lockstep_test_support::helm::Helm;
use lockstep_test_support::objects::{LABEL, node};
use lockstep_test_support::release::{Cluster, read};
use lockstep_test_support::wait;
use serde_json::{Value, json};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// A cluster with the chart, and a node of the gateway and another one. Kubelets have the rights that they have in a
/// cluster, and the limits of `NodeRestriction`.
async fn guarded(release: Kubernetes, values: &[&str]) -> Cluster {
    let options = Options::default()
        .kubernetes(release)
        .api_server_arg("--authorization-mode=Node")
        .api_server_arg("--enable-admission-plugins=NodeRestriction");
    let cluster = Cluster::start(options).await;
    let client = cluster.client().await;
    for (name, labels) in [("edge", json!({LABEL: "arp"})), ("other", json!({"team": "a"}))] {
        api::create(&client, &node(name, &labels)).await;
    }
    cluster.install(values);
    cluster
}

async fn kubelet(cluster: &Cluster, node: &str) -> Client {
    let groups = ["system:nodes", "system:authenticated"];
    cluster.control_plane.client_impersonating(&format!("system:node:{node}"), &groups).await.unwrap()
}

/// Merges a patch into a node, or into its status.
async fn patch(client: &Client, path: &str, patch: &Value) -> Answer {
    let path = format!("/api/v1/nodes/{path}");
    call(client, Method::PATCH, &path, "application/merge-patch+json", patch).await
}

fn labels(key: &str, value: &Value) -> Value {
    json!({"metadata": {"labels": {key: value}}})
}

/// Waits until the API server evaluates the policies, which it reads by watches.
async fn until_guarded(client: &Client) {
    let is_guarded = async || {
        patch(client, "edge?dryRun=All", &labels(LABEL, &Value::Null)).await.status == StatusCode::FORBIDDEN
    };
    assert!(wait::until_so(is_guarded).await, "the API server never evaluates the policies");
}

#[track_caller]
fn assert_refused(answer: &Answer, words: &str) {
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    assert!(message.contains("'lockstep-nodes'") && message.contains(words), "{message}");
}

#[track_caller]
fn assert_silent(answer: &Answer) {
    assert!(answer.status.is_success(), "{}", answer.body);
    assert_eq!(answer.warnings, [""; 0]);
}

/// Grants rules to alice, and waits until the API server knows.
async fn grant(client: &Client, name: &str, rules: Option<Value>, wait_for: (&str, &str, &str)) {
    let group = "rbac.authorization.k8s.io";
    let api_version = format!("{group}/v1");
    if let Some(rules) = rules {
        let role = json!({"apiVersion": api_version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        api::create(client, &role).await;
    }
    let binding = json!({
        "apiVersion": api_version, "kind": "ClusterRoleBinding", "metadata": {"name": format!("{name}-alice")},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
    });
    api::create(client, &binding).await;
    let (group, resource, verb) = wait_for;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "alice", "resourceAttributes":
            {"group": group, "resource": resource, "verb": verb, "name": "istio-ingressgateway"}},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let is_granted = wait::until_so(async || {
        let answer = call(client, Method::POST, path, "application/json", &review).await;
        answer.body["status"]["allowed"] == true
    });
    assert!(is_granted.await, "alice never may {verb} {resource}");
}

/// What a node guard must hold, on one release of Kubernetes.
async fn holds(release: Kubernetes) {
    let cluster = guarded(release, &[]).await;
    let admin = cluster.client().await;
    let version = read(&admin, "/version").await;
    println!("kube-apiserver {}", version["gitVersion"]);
    let edge = kubelet(&cluster, "edge").await;
    until_guarded(&edge).await;

    kubelets_move_no_label(&cluster, &edge).await;
    everyday_writes_pass(&cluster, &edge).await;
    users_take_the_verb(&cluster, &admin).await;
    nodes_join(&cluster, &admin).await;
}

async fn kubelets_move_no_label(cluster: &Cluster, edge: &Client) {
    let keeps = "node `edge` cannot lose or change the label `loadbalancerIPs.metallb.io`";
    // `nodes/status` keeps the labels of a request, too (pkg/registry/core/node/strategy.go).
    for path in ["edge", "edge/status"] {
        for value in [Value::Null, json!("other"), json!("")] {
            assert_refused(&patch(edge, path, &labels(LABEL, &value)).await, keeps);
        }
        let excluded = patch(edge, path, &labels(EXCLUDE, &json!(""))).await;
        assert_refused(
            &excluded,
            "node `edge` is a gateway node of topology `istio-ingressgateway` and cannot get",
        );
        let moves = json!([{"op": "remove", "path": format!("/metadata/labels/{LABEL}")}]);
        let path = format!("/api/v1/nodes/{path}");
        assert_refused(&call(edge, Method::PATCH, &path, "application/json-patch+json", &moves).await, keeps);
    }
    let mut replaced = read(edge, "/api/v1/nodes/edge").await;
    replaced["metadata"]["labels"] = json!({});
    assert_refused(
        &call(edge, Method::PUT, "/api/v1/nodes/edge", "application/json", &replaced).await,
        keeps,
    );

    let other = kubelet(cluster, "other").await;
    for path in ["other", "other/status"] {
        let attracts = patch(&other, path, &labels(LABEL, &json!("arp"))).await;
        assert_refused(
            &attracts,
            "node `other` cannot get the label `loadbalancerIPs.metallb.io` from a kubelet",
        );
    }
    let admin = cluster.client().await;
    let labels_of =
        async |name: &str| read(&admin, &format!("/api/v1/nodes/{name}")).await["metadata"]["labels"].clone();
    assert_eq!(labels_of("edge").await, json!({LABEL: "arp"}));
    assert_eq!(labels_of("other").await, json!({"team": "a"}));
}

/// Heartbeats, what a kubelet does when it starts, a drain, a cordon and labels of others.
async fn everyday_writes_pass(cluster: &Cluster, edge: &Client) {
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready",
        "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    assert_silent(&patch(edge, "edge/status", &json!({"status": {"conditions": [ready]}})).await);
    assert_silent(&patch(edge, "edge/status", &labels(HOSTNAME, &json!("edge"))).await);
    assert_silent(&patch(edge, "edge", &json!({"metadata": {"annotations": {"a": "b"}}})).await);

    let admin = cluster.client().await;
    let rules = json!([{"apiGroups": [""], "resources": ["nodes", "nodes/status"], "verbs": ["get", "patch", "create", "delete"]}]);
    grant(&admin, "nodes", Some(rules), ("", "nodes", "patch")).await;
    let alice = cluster.control_plane.client_as("alice").await.unwrap();
    let taint = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    for change in [
        json!({"spec": {"unschedulable": true, "taints": taint}}),
        json!({"spec": {"unschedulable": null, "taints": null}}),
        labels("team", &json!("b")),
        labels("team", &Value::Null),
    ] {
        assert_silent(&patch(&alice, "edge", &change).await);
    }
    // A node that carries no gateway may be excluded, and become a gateway node.
    for change in [labels(EXCLUDE, &json!("")), labels(EXCLUDE, &Value::Null), labels(LABEL, &json!("arp"))] {
        assert_silent(&patch(&alice, "other", &change).await);
    }
}

async fn users_take_the_verb(cluster: &Cluster, admin: &Client) {
    let alice = cluster.control_plane.client_as("alice").await.unwrap();
    let moves = [labels(LABEL, &json!("other")), labels(LABEL, &Value::Null), labels(EXCLUDE, &json!(""))];
    for change in &moves {
        let way_out =
            "as a user with the verb `relocate` on gatewaytopologies.lockstep.dev `istio-ingressgateway`";
        assert_refused(&patch(&alice, "edge", change).await, way_out);
    }
    // The way out that the message names.
    grant(admin, "lockstep-relocate", None, ("lockstep.dev", "gatewaytopologies", "relocate")).await;
    for client in [&alice, admin] {
        for change in &moves {
            // The API server may remember for 10 s that alice had not the right.
            let is_allowed =
                wait::until_so(async || patch(client, "edge", change).await.status == StatusCode::OK);
            assert!(is_allowed.await, "{change}");
            assert_silent(
                &patch(client, "edge", &json!({"metadata": {"labels": {LABEL: "arp", EXCLUDE: null}}})).await,
            );
        }
    }
    // A kubelet with every right is still a kubelet.
    let groups = ["system:nodes", "system:masters", "system:authenticated"];
    let strong = cluster.control_plane.client_impersonating("system:node:edge", &groups).await.unwrap();
    assert_refused(
        &patch(&strong, "edge", &labels(LABEL, &Value::Null)).await,
        "cannot lose or change the label",
    );
}

async fn nodes_join(cluster: &Cluster, admin: &Client) {
    let fresh = kubelet(cluster, "fresh").await;
    let joined = api::post(&fresh, &node("fresh", &json!({LABEL: "arp", HOSTNAME: "fresh"})), false).await;
    assert_eq!(joined.status, StatusCode::CREATED, "{}", joined.body);
    let warned = joined.warnings.join("\n");
    assert!(
        warned.contains("node `fresh` joins as a gateway node of topology `istio-ingressgateway`"),
        "{warned}"
    );
    let plain = kubelet(cluster, "plain").await;
    assert_silent(&api::post(&plain, &node("plain", &json!({HOSTNAME: "plain"})), false).await);
    assert_silent(&api::post(admin, &node("chosen", &json!({LABEL: "arp"})), false).await);
    for name in ["fresh", "plain", "chosen", "edge"] {
        assert_silent(&api::delete(admin, &node(name, &json!({}))).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_relocate_moves_a_gateway_nodes_label() {
    holds(Kubernetes::V1_36_3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_relocate_moves_a_gateway_nodes_label_on_kubernetes_1_37() {
    holds(Kubernetes::V1_37_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_follows_the_enforcement_of_each_topology_and_leaves_kubelets_their_own_labels() {
    let topology = |name: &str, enforcement: &str, selector: Value| json!({"name": name, "spec": {"enforcement": enforcement, "placement": {"nodeSelector": selector}}});
    let topologies = json!([
        topology("strict", "Enforce", json!({HOSTNAME: "edge", "zone": "a"})),
        topology("mild", "Warn", json!({LABEL: "arp"})),
        topology("quiet", "Audit", json!({"quiet": "yes"})),
    ]);
    let cluster = guarded(Kubernetes::default(), &["--set-json", &format!("topologies={topologies}")]).await;
    let admin = cluster.client().await;
    assert_silent(&patch(&admin, "edge", &labels("zone", &json!("a"))).await);
    assert_silent(&patch(&admin, "edge", &labels("quiet", &json!("yes"))).await);
    let edge = kubelet(&cluster, "edge").await;
    let is_guarded =
        async || !patch(&edge, "edge?dryRun=All", &labels("zone", &Value::Null)).await.status.is_success();
    assert!(wait::until_so(is_guarded).await, "the API server never evaluates the policies");

    assert_silent(&patch(&edge, "edge/status", &labels(HOSTNAME, &json!("edge"))).await);
    let words = "node `edge` cannot lose or change the label `kubernetes.io/hostname`, `zone`, by which topology `strict`";
    assert_refused(&patch(&edge, "edge", &labels(HOSTNAME, &json!("other"))).await, words);
    assert_silent(&patch(&edge, "edge", &labels("quiet", &Value::Null)).await);
    let warned = wait::until_some(async || {
        let answer = patch(&edge, "edge?dryRun=All", &labels(LABEL, &Value::Null)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        (!answer.warnings.is_empty()).then_some(answer.warnings)
    });
    let warned = warned.await.expect("a warning");
    assert!(warned.join("\n").contains("by which topology `mild` chooses its gateway nodes"), "{warned:?}");
}

#[test]
fn an_api_server_without_policies_gets_none_and_helm_template_renders_them() {
    let policies = |more: &[&str]| {
        let rendered = Helm::offline().render("default", more);
        rendered
            .iter()
            .filter(|object| object["kind"].as_str().unwrap().starts_with("ValidatingAdmissionPolicy"))
            .count()
    };
    assert_eq!(policies(&[]), 4);
    assert_eq!(policies(&["--api-versions", "v1/Node"]), 0);
    assert_eq!(
        policies(&["--api-versions", "v1/Node,admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"]),
        4
    );
    assert_eq!(policies(&["--set", "nodeGuard.enabled=false"]), 0);
    assert_eq!(policies(&["--set-json", r#"topologies=[{"name":"a","spec":{"enforcement":"Audit"}}]"#]), 0);
}
