//! Reviews before the cluster's state is known: there is no verdict, and the API server retries.

use axum::http::Method;
use kube::{Client, CustomResourceExt};
use lockstep::topology::GatewayTopology;
use serde_json::{Value, json};

use lockstep_test_support::api;
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::https::{Answer, Connection, get, trusting};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::reviews::{self, review, text};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook::{self, metric};

const NOT_SYNCED: &str = "lockstep_reviews_unanswered_total{reason=\"not_synced\"}";
const NOT_KNOWN: &str = "lockstep_reviews_unanswered_total{reason=\"not_known\"}";

/// Posts over a connection of its own, because a 503 closes its connection.
async fn post(serve: &Serve, path: &str, review: &Value) -> Answer {
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    connection.post(path, review.to_string()).await
}

fn assert_put_off(answer: &Answer, sentence: &str) {
    assert_eq!(answer.status, 503, "{}", text(answer));
    assert_eq!(answer.head.headers()["retry-after"], "1");
    assert_eq!(answer.head.headers()["connection"], "close");
    assert_eq!(text(answer), sentence);
}

/// Posts until the topology is enforced. Without it, the state of MetalLB's namespace stays unknown.
async fn until_denied(serve: &Serve) -> Value {
    let denied = wait::until_some(async || {
        let answer = post(serve, "/validate", &review()).await;
        let response = (answer.status == 200).then(|| reviews::response(&answer))?;
        (response["allowed"] == false).then_some(response)
    });
    denied.await.expect("the topology is never enforced")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_sync_every_review_gets_503_and_readyz_gives_the_reason() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    let mut serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    let hint =
        "the kind is not installed, so every review is answered with 503: apply the output of `lockstep crd`";
    assert_eq!(serve.event(hint).await["level"], "ERROR");

    let (status, reason) = get(&serve.admin, "/readyz").await;
    assert_eq!((status.as_u16(), &*reason), (503, "the cluster's state is not known"));
    assert_eq!(get(&serve.admin, "/livez").await.0, 200);
    // Even objects that no rule judges: without topologies it is unknown what is enforced.
    for (path, review) in
        [("/mutate", review()), ("/validate", review()), ("/validate", reviews::review_elsewhere())]
    {
        assert_put_off(&post(&serve, path, &review).await, "lockstep does not know the cluster's state");
    }
    assert_eq!(metric(&serve.admin, NOT_SYNCED).await, 3);

    control_plane.install_topologies().await.unwrap();
    wait::until_ready(&serve.admin).await;
    api::create(&client, &objects::topology("ingress", &json!({}))).await;
    let denied = until_denied(&serve).await;
    assert_eq!((&denied["allowed"], &denied["status"]["code"]), (&json!(false), &json!(403)));
    let mutated = reviews::response(&post(&serve, "/mutate", &review()).await);
    assert!(mutated["allowed"] == true && mutated["patch"].is_string(), "{mutated}");
    assert_eq!(metric(&serve.admin, NOT_SYNCED).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_sync_the_api_server_retries_and_admits_nothing_unchecked() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    // The topology exists from the start, but its kind is not served yet. So there is no snapshot in between that has
    // no topology and enforces nothing.
    api::create(&client, &objects::topology("ingress", &json!({}))).await;
    serve_topologies(&client, false).await;
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    let probes = [objects::pod("default", "probe", &json!({})), objects::wide_advertisement("probe")];
    webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &probes).await;

    let send = |object: Value| {
        let client = client.clone();
        tokio::spawn(async move { api::post(&client, &object, false).await })
    };
    let [mutate, validate] = ["mutate", "validate"].map(webhook::calls);
    let before = (metric(&serve.admin, &mutate).await, metric(&serve.admin, &validate).await);
    let pod = send(objects::gateway_pod("early"));
    let wide = send(objects::wide_advertisement("early"));
    // One of two calls may be a late one for a probe. The other one is this one, which gets a 503 and is retried.
    wait::until(&serve.admin, "/metrics", |_, text| {
        webhook::total(text, &mutate) >= before.0 + 2 && webhook::total(text, &validate) >= before.1 + 2
    })
    .await;
    assert!(!pod.is_finished() && !wide.is_finished());
    assert!(metric(&serve.admin, NOT_SYNCED).await >= 4);
    assert_eq!(metric(&serve.admin, "lockstep_reviews_total").await, 0);

    serve_topologies(&client, true).await;
    let pod = pod.await.unwrap();
    assert_eq!(pod.status, 201, "{}", pod.body);
    assert_eq!(pod.body["spec"]["nodeSelector"], json!({LABEL: "arp"}));
    webhook::assert_refused_as_wider(&wide.await.unwrap());
    assert_eq!(get(&serve.admin, "/readyz").await.0, 200);
}

/// Serves the kind or not. Stored objects stay.
async fn serve_topologies(client: &Client, served: bool) {
    let definition =
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", GatewayTopology::crd_name());
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/served", "value": served}]);
    let answer = api::call(client, Method::PATCH, &definition, "application/json-patch+json", &patch).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    if served {
        return;
    }
    let list = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";
    let is_gone =
        async || api::call(client, Method::GET, list, "application/json", &Value::Null).await.status == 404;
    assert!(wait::until_so(is_gone).await, "the API server still serves the kind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metallb_may_be_installed_later_and_its_first_advertisement_is_judged() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    api::create(&client, &objects::topology("ingress", &json!({}))).await;
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    until_denied(&serve).await;
    let probe = objects::pod("default", "probe", &json!({}));
    webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &[probe]).await;

    // Without MetalLB, pods are judged, and a call about an advertisement gets a 503: it proves that the snapshot is
    // out of date.
    let pod = api::create(&client, &objects::gateway_pod("first")).await;
    assert_eq!(pod["spec"]["nodeSelector"], json!({LABEL: "arp"}));
    let mut early = review();
    early["request"]["kind"] =
        json!({"group": "metallb.io", "version": "v1beta1", "kind": "L2Advertisement"});
    early["request"]["resource"] =
        json!({"group": "metallb.io", "version": "v1beta1", "resource": "l2advertisements"});
    early["request"]["namespace"] = "metallb-system".into();
    early["request"]["object"] = objects::right_advertisement("early");
    let before = metric(&serve.admin, NOT_KNOWN).await;
    assert_put_off(
        &post(&serve, "/validate", &early).await,
        "lockstep has not read the state of this namespace yet",
    );
    assert_eq!(metric(&serve.admin, NOT_KNOWN).await, before + 1);

    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    let (wide, right) = (objects::wide_advertisement("wide"), objects::right_advertisement("right"));
    let (wide, right) = tokio::join!(api::post(&client, &wide, false), api::post(&client, &right, false));
    webhook::assert_refused_as_wider(&wide);
    assert_eq!(right.status, 201, "{}", right.body);
}
