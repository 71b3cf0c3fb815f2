//! The alerts on the state of topologies: on what `lockstep serve` exports of a cluster that breaks and is mended.

use std::path::Path;

use axum::http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use super::cluster::CONTACT;
use super::course::{Alert, Course, POD};
use super::page::Page;
use super::rights::{of_alice, role};
use lockstep_test_support::api::{call, create, path_of};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::objects::namespace;
use lockstep_test_support::reviews::{connect, review};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::state::{patch, put, stored_objects};
use lockstep_test_support::wait;

const WRITES: &str = "lockstep_status_writes_total";
const EVENTS: &str = "lockstep_events_total";
const FAILED: [(&str, &str); 1] = [("result", "failed")];
const STORED: [(&str, &str); 1] = [("result", "stored")];

/// The topology of the state.
const EDGE: &str = "edge";

/// Starts a control plane, and returns the objects of a state in which nothing is found.
async fn start() -> (ControlPlane, Client, Vec<Value>) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &namespace(name)).await;
    }
    let state = "tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml";
    (control_plane, client, stored_objects(&Path::new(env!("CARGO_MANIFEST_DIR")).join(state)))
}

/// Returns the object of this kind and name.
fn the<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}

/// Deletes an object at once: no kubelet ends a pod here.
async fn remove(client: &Client, object: &Value) {
    let path = format!("{}?gracePeriodSeconds=0", path_of(object));
    let answer = call(client, Method::DELETE, &path, "application/json", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{object}: {}", answer.body);
}

/// Waits until each of these conditions has its status, and the only address this outcome.
async fn until(admin: &str, conditions: [(&str, &str); 3], outcome: &str) -> Page {
    let mut lines =
        vec![format!("lockstep_topology_addresses{{topology=\"{EDGE}\",outcome=\"{outcome}\"}} 1\n")];
    lines.extend(conditions.map(|(condition, status)| {
        let labels = format!("topology=\"{EDGE}\",condition=\"{condition}\",status=\"{status}\"");
        format!("lockstep_topology_condition{{{labels}}} 1\n")
    }));
    let is_so = |text: &str| lines.iter().all(|line| text.contains(line));
    Page::parse(&wait::until(admin, "/metrics", |_, text| is_so(text)).await)
}

/// The conditions Aligned, SourceIPPreserved and Resilient.
const fn conditions(statuses: [&'static str; 3]) -> [(&'static str, &'static str); 3] {
    let [aligned, preserved, resilient] = statuses;
    [("Aligned", aligned), ("SourceIPPreserved", preserved), ("Resilient", resilient)]
}

/// Asserts that an alert fires this many minutes after a topology breaks, once for two replicas, and resolves when it is
/// mended.
fn assert_told(alert: &Alert, [before, broken, mended]: [&Page; 3], after: usize) {
    let course = Course::default().then(before, 3).then(broken, after + 10).then(mended, 5).of_two_replicas();
    let (starts, ends) = (3 + after, 3 + after + 10);
    alert.assert(&course, &[2, starts - 1], &[starts, ends - 1], &[ends, ends + 4]);
}

/// Asserts that an alert does not fire on a page, however long it lasts.
fn assert_not_told(name: &'static str, page: &Page) {
    Alert::named(name).assert_quiet(&Course::default().then(page, 90).of_two_replicas(), &[5, 30, 89]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_an_address_is_lost_or_silent_or_nodes_are_not_aligned_or_too_few() {
    let (control_plane, client, objects) = start().await;
    // The cluster is already wrong when the replica starts.
    put(&client, &objects).await;
    let service = the(&objects, "Service", "istio-ingressgateway");
    patch(&client, &path_of(service), &json!({"spec": {"externalTrafficPolicy": "Cluster"}})).await;
    let kubeconfig = control_plane.kubeconfig_path();
    let serve = Serve::start(&["--webhook-configuration", "lockstep"], Some(kubeconfig)).await;
    let page = async |statuses, outcome| until(&serve.admin, conditions(statuses), outcome).await;
    let well = || page(["True", "True", "True"], "Preserved");
    let lost = page(["True", "False", "False"], "Lost").await;
    patch(&client, &path_of(service), &json!({"spec": {"externalTrafficPolicy": "Local"}})).await;
    let kept = well().await;

    let advertisement = the(&objects, "L2Advertisement", "arp");
    remove(&client, advertisement).await;
    let silent = page(["False", "False", "False"], "Silent").await;
    create(&client, advertisement).await;
    let announced = well().await;

    patch(&client, &path_of(advertisement), &json!({"spec": {"nodeSelectors": null}})).await;
    let wider = page(["False", "True", "True"], "Preserved").await;
    patch(&client, &path_of(advertisement), &json!({"spec": advertisement["spec"]})).await;
    let aligned = well().await;

    let speaker = the(&objects, "Pod", "speaker-n2");
    remove(&client, speaker).await;
    let alone = page(["True", "True", "False"], "Fragile").await;
    put(&client, std::slice::from_ref(speaker)).await;
    let resilient = well().await;

    let edge = || json!({"topology": EDGE});
    let is_lost = Alert::named("LockstepSourceIPLost")
        .says(edge(), "The client's source IP is lost at 1 addresses of topology edge.");
    assert_told(&is_lost, [&kept, &lost, &kept], 2);
    let is_silent =
        Alert::named("LockstepAddressSilent").says(edge(), "No node announces 1 addresses of topology edge.");
    assert_told(&is_silent, [&kept, &silent, &announced], 2);
    let is_wider = Alert::named("LockstepTopologyNotAligned")
        .says(edge(), "The announcing nodes of topology edge are not its gateway nodes.");
    assert_told(&is_wider, [&announced, &wider, &aligned], 5);
    let is_fragile = Alert::named("LockstepTopologyNotResilient")
        .says(edge(), "Topology edge does not survive one drain, rollout or crash.");
    assert_told(&is_fragile, [&aligned, &alone, &resilient], 60);

    // Each alert tells of what it is named after, and of nothing else.
    for page in [&resilient, &silent, &wider, &alone] {
        assert_not_told("LockstepSourceIPLost", page);
    }
    for page in [&resilient, &lost, &wider, &alone] {
        assert_not_told("LockstepAddressSilent", page);
    }
    for page in [&resilient, &lost, &alone] {
        assert_not_told("LockstepTopologyNotAligned", page);
    }
    for page in [&resilient, &lost, &silent, &wider] {
        assert_not_told("LockstepTopologyNotResilient", page);
    }
    for page in [&resilient, &lost, &silent, &wider, &alone] {
        assert_not_told("LockstepTopologyUnknown", page);
    }
}

/// Every right that the replica needs but those on EndpointSlices, on the status of topologies and on Events.
fn seeing() -> Value {
    let read = ["list", "watch"];
    json!([
        {"apiGroups": [""], "resources": ["namespaces", "nodes", "pods", "services"], "verbs": read},
        {"apiGroups": ["apps", "metallb.io", "policy"], "resources": ["*"], "verbs": read},
        {"apiGroups": ["lockstep.dev"], "resources": ["gatewaytopologies"], "verbs": read},
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            "verbs": ["get", "list", "watch"],
        },
    ])
}

async fn grant(client: &Client, name: &str, rules: Value) {
    for object in &role(name, &rules) {
        create(client, object).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_a_replica_may_not_read_the_state_or_write_what_it_found() {
    let (control_plane, client, objects) = start().await;
    grant(&client, "seeing", seeing()).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = of_alice(&control_plane, folder.path());
    let serve = Serve::start(&["--webhook-configuration", "lockstep"], Some(&kubeconfig)).await;
    wait::until_ready(&serve.admin).await;
    let before = Page::of(&serve.admin).await;
    assert_eq!((before.value(WRITES, &FAILED), before.value(EVENTS, &FAILED)), (0.0, 0.0));

    put(&client, &objects).await;
    let unknown = conditions(["True", "Unknown", "Unknown"]);
    until(&serve.admin, unknown, "Unknown").await;
    // Reviews do not depend on EndpointSlices.
    wait::until_enforced(&serve.admin, 1).await;
    let answer = connect(&serve).await.post("/validate", review().to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let once = Page::with(&serve.admin, WRITES, &FAILED, 1.0).await;
    let again = Page::with(&serve.admin, WRITES, &FAILED, once.value(WRITES, &FAILED) + 1.0).await;

    let status = json!([{"apiGroups": ["lockstep.dev"], "resources": ["gatewaytopologies/status"], "verbs": ["patch"]}]);
    grant(&client, "writing", status).await;
    let written = Page::with(&serve.admin, EVENTS, &FAILED, 1.0).await;
    assert!(written.value(WRITES, &STORED) >= 1.0);

    let events =
        json!([{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}]);
    grant(&client, "telling", events).await;
    let slices = json!([{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]);
    grant(&client, "seeing-slices", slices).await;
    let known = until(&serve.admin, conditions(["True"; 3]), "Preserved").await;
    // The Events tell that the conditions are True again.
    let told = Page::with(&serve.admin, EVENTS, &STORED, 1.0).await;

    let is_unknown = Alert::named("LockstepTopologyUnknown")
        .says(json!({"topology": EDGE}), "The state of topology edge is not known.");
    assert_told(&is_unknown, [&known, &again, &told], 30);
    assert_not_told("LockstepTopologyUnknown", &told);

    let pod = || json!({"pod": POD});
    let course = Course::default().then(&before, 5).then(&once, 10).then(&again, 10).then(&written, 40);
    Alert::named("LockstepStatusNotWritten")
        .says(pod(), "lockstep-1 cannot write the status of topologies.")
        .assert(&course, &[4, 19], &[20, 28], &[45, 64]);
    let course = Course::default().then(&again, 5).then(&written, 10).then(&told, 40);
    Alert::named("LockstepEventsNotStored").says(pod(), "lockstep-1 cannot store Events.").assert(
        &course,
        &[4],
        &[5, 14],
        &[35, 54],
    );
    stale_state_is_told(&again, &told);
}

/// Asserts the alerts on watches of a replica that may not list EndpointSlices, while all other watches are live.
fn stale_state_is_told(unread: &Page, read: &Page) {
    let kind = [("kind", "EndpointSlice")];
    let start = unread.value(CONTACT, &kind).ceil() as u64;
    let course = Course::from(start)
        .then_live(unread, |series| series.name() == CONTACT && !series.is(CONTACT, &kind), 30)
        .then_live(read, |series| series.name() == CONTACT, 5);
    let labels = json!({"namespace": NAMESPACE, "service": "lockstep", "pod": POD, "kind": "EndpointSlice"});
    Alert::named("LockstepStateWatchStale")
        .says(labels, "The watch of EndpointSlice on lockstep-1 is stale for 20m 0s.")
        .assert(&course, &[3, 17], &[20], &[30, 34]);
    Alert::named("LockstepWatchStale").assert_quiet(&course, &[5, 10, 20, 29, 34]);
}
