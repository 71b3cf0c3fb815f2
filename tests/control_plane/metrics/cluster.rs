//! The metrics of a cluster, and the alerts on them.

use std::path::Path;

use axum::http::Method;
use kube::{Client, CustomResourceExt};
use lockstep::topology::GatewayTopology;
use serde_json::{Value, json};

use super::course::{Alert, Course, POD};
use super::page::{Page, Series};
use super::{dashboard, rights, selectors, table};
use lockstep_test_support::api::{call, create, path_of};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::objects;
use lockstep_test_support::reviews::{connect, review};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

pub const CONTACT: &str = "lockstep_watch_last_contact_timestamp_seconds";
const GUARDED: &str = "lockstep_topologies_guarded";
const INVALID: &str = "lockstep_topologies_invalid";

/// A kubeconfig whose API server does not listen: no program uses port 1.
const NOBODY: &str = "apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
current-context: nobody
";

pub fn topology(spec: &Value) -> Value {
    objects::topology("ingress", spec)
}

/// Returns a CRD that accepts every spec, as an early version did.
fn lenient_definition() -> String {
    let mut definition = serde_json::to_value(GatewayTopology::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition.to_string()
}

async fn delete(client: &Client, object: &Value) {
    let answer = call(client, Method::DELETE, &path_of(object), "application/json", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Returns the pages of a replica that never reaches its cluster: before and after two reviews.
async fn lost() -> [Page; 3] {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, NOBODY).unwrap();
    let serve = Serve::on_cluster(&kubeconfig).await;
    let before = Page::with(&serve.admin, CONTACT, &[("kind", "GatewayTopology")], 1.0).await;
    let mut pages = vec![before];
    for asked in [1.0, 2.0] {
        let answer = connect(&serve).await.post("/validate", review().to_string()).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let not_synced = [("reason", "not_synced")];
        pages.push(Page::with(&serve.admin, "lockstep_reviews_unanswered_total", &not_synced, asked).await);
    }
    pages.try_into().unwrap()
}

/// Returns the pages of a replica without webhook configurations: with a topology, with an invalid one, and with none.
async fn found(kubeconfig: &Path, client: &Client) -> [Page; 3] {
    // No span is exported, but its metrics are.
    let arguments = ["--webhook-configuration", "lockstep", "--otlp-endpoint", "http://127.0.0.1:9"];
    let serve = Serve::start(&arguments, Some(kubeconfig)).await;
    wait::until_ready(&serve.admin).await;
    create(client, &topology(&json!({}))).await;
    wait::until_enforced(&serve.admin, 1).await;
    let answer = connect(&serve).await.post("/validate", review().to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let unguarded = Page::with(&serve.admin, GUARDED, &[("guarded", "false")], 1.0).await;
    let assessed = Page::with(&serve.admin, "lockstep_topology_nodes", &[("role", "gateway")], 1.0).await;
    let unguarded = assessed.and(&unguarded);
    delete(client, &topology(&json!({}))).await;
    create(client, &topology(&json!({"gateway": {"namespace": 7}}))).await;
    let invalid = Page::with(&serve.admin, INVALID, &[], 1.0).await;
    delete(client, &topology(&json!({}))).await;
    let none = |text: &str| {
        text.contains(&format!("{GUARDED}{{guarded=\"false\"}} 0\n"))
            && text.contains(&format!("{INVALID} 0\n"))
            && text.contains("lockstep_objects{kind=\"GatewayTopology\"} 0\n")
    };
    let mended = Page::parse(&wait::until(&serve.admin, "/metrics", |_, text| none(text)).await);
    [unguarded, invalid, mended]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_the_cluster_is_not_read_or_a_topology_is_invalid_or_unguarded() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    control_plane.install_crd(GatewayTopology::crd_name(), &lenient_definition()).await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    create(&client, &objects::namespace("istio-system")).await;
    create(&client, &objects::service("gateway")).await;
    create(&client, &objects::node("worker", &json!({objects::LABEL: "arp"}))).await;
    let [unheard, once, twice] = lost().await;
    let [unguarded, invalid, mended] = found(control_plane.kubeconfig_path(), &client).await;

    let kept = rights::missing(&control_plane, &client).await;
    // One replica answers reviews, and the other one manages the CA. Together they export every metric.
    let all = unguarded.clone().and(&kept[2]);
    table::assert_lists(&all);
    selectors::assert_exported(&all);
    dashboard::assert_answered(&all);

    rights::they_are_told(&kept);

    silence_is_told(&["GatewayTopology", "Node"], &unheard, &mended);
    silence_is_told(&["Service", "Pod", "IPAddressPool", "L2Advertisement"], &kept[1], &kept[2]);
    let course = Course::default().then(&unheard, 3).then(&once, 4).then(&twice, 10);
    Alert::named("LockstepReviewsUnanswered")
        .says(json!({"reason": "not_synced"}), "Reviews get no verdict: not_synced.")
        .assert(&course, &[3, 7], &[8, 10], &[11, 16]);
    let course = Course::default().then(&mended, 3).then(&unguarded, 10).then(&mended, 3);
    Alert::named("LockstepTopologyNotGuarded")
        .says(json!({}), "The webhook configurations do not cover 1 topologies.")
        .assert(&course, &[3, 7], &[8, 12], &[13]);
    let course = Course::default().then(&mended, 3).then(&invalid, 10).then(&mended, 3);
    Alert::named("LockstepTopologyInvalid").says(json!({}), "1 topologies are invalid and ignored.").assert(
        &course,
        &[3, 7],
        &[8, 12],
        &[13],
    );
}

/// Asserts the alert on silent watches of these kinds. The clock starts in the first second in which all of them had begun,
/// and every minute has one sample.
fn silence_is_told(kinds: &[&'static str], unheard: &Page, mended: &Page) {
    let is_silent = |series: &Series| kinds.iter().any(|kind| series.is(CONTACT, &[("kind", kind)]));
    let began: Vec<_> = kinds.iter().map(|kind| (kind, unheard.value(CONTACT, &[("kind", kind)]))).collect();
    let start = began.iter().map(|(_, began)| began.ceil() as u64).max().unwrap();
    let course = Course::from(start)
        .then_live(unheard, |series| series.name() == CONTACT && !is_silent(series), 10)
        .then_live(mended, |series| series.name() == CONTACT, 5);
    let mut alert = Alert::named("LockstepWatchStale");
    for (kind, began) in began {
        let silence = start as f64 - began;
        assert!(silence < 60.0, "{kind} began {silence} seconds before");
        let summary = format!("The watch of {kind} on lockstep-1 is stale for 5m {}s.", silence as u64);
        let labels = json!({"namespace": NAMESPACE, "service": "lockstep", "pod": POD, "kind": kind});
        alert = alert.says(labels, summary);
    }
    alert.assert(&course, &[3, 4], &[5], &[10, 14]);
}
