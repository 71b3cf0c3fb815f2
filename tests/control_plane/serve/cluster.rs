//! The webhook as users see it, on a real API server with MetalLB's real CRDs.

use axum::http::Method;
use kube::Client;
use serde_json::{Value, json};

use lockstep_test_support::api::{self, Answer, call, path_of};
use lockstep_test_support::control_plane::{AuditLevel, ControlPlane, MetalLb, Options};
use lockstep_test_support::objects::{
    self, LABEL, gateway_pod, pod, right_advertisement, service, wide_advertisement,
};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_the_gateway_is_guarded_and_other_objects_are_not_affected() {
    let options = Options::default().audit(AuditLevel::Metadata);
    let control_plane = ControlPlane::start_with(options).await.unwrap();
    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    wait::until_ready(&serve.admin).await;
    let probe = pod("default", "probe", &json!({}));
    webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &[probe]).await;
    // Nothing is enforced without a topology, so these objects are stored as written.
    let older = api::create(&client, &gateway_pod("older")).await;
    assert!(older["spec"].get("nodeSelector").is_none());
    let foreign = pod("istio-system", "foreign", &json!({"app": "other"}));
    api::create(&client, &foreign).await;
    api::create(&client, &objects::topology("ingress", &json!({}))).await;
    wait::until_enforced(&serve.admin, 1).await;

    pods_are_placed(&client).await;
    services_get_local(&client).await;
    advertisements_must_match(&client, &control_plane).await;
    applying_twice_changes_nothing(&client).await;
    a_dry_run_stores_nothing(&client).await;
    older_pods_can_be_changed(&client).await;
    a_foreign_pod_cannot_become_a_gateway_pod(&client, &foreign).await;
    // A review may be deferred while the state is first read: the API server asks again, and the answers above are right.
    let unanswered = ["not_synced", "malformed", "unprovable"]
        .map(|reason| format!("lockstep_reviews_unanswered_total{{reason=\"{reason}\"}}"));
    for quiet in unanswered.iter().map(String::as_str).chain(["lockstep_handler_panics_total"]) {
        assert_eq!(webhook::metric(&serve.admin, quiet).await, 0, "{quiet}");
    }
}

async fn pods_are_placed(client: &Client) {
    let stored = api::create(client, &gateway_pod("new")).await;
    assert_eq!(stored["spec"]["nodeSelector"], json!({LABEL: "arp"}));
    let stored = api::create(client, &pod("istio-system", "bystander", &json!({"app": "istiod"}))).await;
    assert!(stored["spec"].get("nodeSelector").is_none());
}

async fn services_get_local(client: &Client) {
    let stored = api::create(client, &service("gateway")).await;
    assert_eq!(stored["spec"]["externalTrafficPolicy"], "Local");
    let port = stored["spec"]["healthCheckNodePort"].as_u64();
    assert!(port.is_some_and(|port| port > 0), "{stored}");

    let inside = patch(client, &stored, json!({"spec": {"type": "ClusterIP"}})).await;
    assert_eq!(inside.status, 200, "{}", inside.body);
    assert_eq!(inside.body["spec"]["type"], "ClusterIP");
    assert!(inside.body["spec"].get("externalTrafficPolicy").is_none());
    let outside = patch(client, &stored, json!({"spec": {"type": "LoadBalancer"}})).await;
    assert_eq!(outside.body["spec"]["externalTrafficPolicy"], "Local", "{}", outside.body);
}

async fn advertisements_must_match(client: &Client, control_plane: &ControlPlane) {
    webhook::assert_refused_as_wider(&api::post(client, &wide_advertisement("wide"), false).await);
    assert_eq!(get(client, &wide_advertisement("wide")).await.status, 404);
    let right = api::create(client, &right_advertisement("right")).await;
    assert_eq!(right["spec"], right_advertisement("right")["spec"]);

    let wanted =
        |event: &Value| event["objectRef"]["resource"] == "l2advertisements" && event["verb"] == "create";
    let event = control_plane.audit_event(wanted).await.unwrap();
    assert_eq!(event["responseStatus"]["code"], 403);
    let annotation = |key: &str| &event["annotations"][format!("validate.lockstep.dev/{key}")];
    for (key, value) in [
        ("verdict", "deny"),
        ("rule", "announcement-placement"),
        ("reason", "WIDER"),
        ("topology", "ingress"),
    ] {
        assert_eq!(annotation(key), value, "{event}");
    }
    assert_eq!(annotation("witness"), &json!(format!("a node without the label `{LABEL}`")));
}

/// Applies the same object twice, as a GitOps tool does every few minutes.
async fn applying_twice_changes_nothing(client: &Client) {
    let silent = service("applied");
    let mut local = service("applied-local");
    local["spec"]["externalTrafficPolicy"] = "Local".into();
    let mut cluster = service("applied-cluster");
    cluster["spec"]["externalTrafficPolicy"] = "Cluster".into();
    for manifest in [silent, local, cluster] {
        let first = apply(client, &manifest).await;
        assert_eq!(first.status, 201, "{}", first.body);
        assert_eq!(first.body["spec"]["externalTrafficPolicy"], "Local");
        let second = apply(client, &manifest).await;
        assert_eq!(second.status, 200, "{}", second.body);
        let version = |answer: &Answer| answer.body["metadata"]["resourceVersion"].clone();
        assert_eq!(version(&second), version(&first));
    }
}

async fn a_dry_run_stores_nothing(client: &Client) {
    let answer = api::post(client, &gateway_pod("dry"), true).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["spec"]["nodeSelector"], json!({LABEL: "arp"}));
    assert_eq!(get(client, &gateway_pod("dry")).await.status, 404);
    webhook::assert_refused_as_wider(&api::post(client, &wide_advertisement("dry"), true).await);
}

async fn older_pods_can_be_changed(client: &Client) {
    let change = json!({"metadata": {"labels": {"version": "2"}, "annotations": {"checked": "yes"}}});
    let answer = patch(client, &gateway_pod("older"), change).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["metadata"]["labels"]["version"], "2");
    assert!(answer.body["spec"].get("nodeSelector").is_none());
}

async fn a_foreign_pod_cannot_become_a_gateway_pod(client: &Client, foreign: &Value) {
    let labels = json!({"metadata": {"labels": objects::gateway_labels()}});
    let answer = patch(client, foreign, labels).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(get(client, foreign).await.body["metadata"]["labels"], json!({"app": "other"}));
}

async fn patch(client: &Client, object: &Value, patch: Value) -> Answer {
    call(client, Method::PATCH, &path_of(object), "application/merge-patch+json", &patch).await
}

async fn apply(client: &Client, manifest: &Value) -> Answer {
    let path = format!("{}?fieldManager=gitops", path_of(manifest));
    call(client, Method::PATCH, &path, "application/apply-patch+yaml", manifest).await
}

async fn get(client: &Client, object: &Value) -> Answer {
    call(client, Method::GET, &path_of(object), "application/json", &Value::Null).await
}
