//! The match conditions of the webhooks, as real API servers evaluate them: an outage of Lockstep blocks what can belong to a
//! gateway, and nothing else.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep::coverage::{Calls, Configuration, Configurations, judge};
use lockstep::objects::{Kind, Object};
use lockstep::rules::{self, Change, Phase};
use lockstep::snapshot::{Declared, Inventory, ObjectKey, Snapshot};
use lockstep::topology::GatewayTopologySpec;
use lockstep_test_support::api::{self, Answer, call};
use lockstep_test_support::control_plane::Options;
use lockstep_test_support::helm::Helm;
use lockstep_test_support::objects::{gateway_pod, namespace, pod, service};
use lockstep_test_support::release::{Cluster, read};
use lockstep_test_support::wait;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::de::DeserializeSeed;
use serde_json::{Value, json};

const PATHS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lockstep",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep",
];

type Labels = BTreeMap<String, String>;

/// The topologies of the release: two gateways in one namespace, and one in another.
fn topologies() -> Value {
    let topology = |name: &str, namespace: &str, labels: Value| json!({"name": name, "spec": {"gateway": {"namespace": namespace, "podLabels": labels}}});
    json!([
        topology("in", "istio-system", json!({"app": "istio-ingressgateway", "istio": "ingressgateway"})),
        topology("out", "istio-system", json!({"istio": "egressgateway"})),
        topology("edge", "edge", json!({"app": "edge"})),
    ])
}

fn spec_of(topology: &Value) -> GatewayTopologySpec {
    serde_json::from_value(topology["spec"].clone()).unwrap()
}

/// Replaces the address of every webhook by one that nothing listens on, so that a call fails at once.
async fn disconnect(client: &Client) {
    for path in PATHS {
        let webhooks = read(client, path).await["webhooks"].as_array().unwrap().len();
        let config = json!({"url": "https://127.0.0.1:1/x"});
        let replace = |index| json!({"op": "replace", "path": format!("/webhooks/{index}/clientConfig"), "value": config});
        let patch: Vec<Value> = (0..webhooks).map(replace).collect();
        let answer = call(client, Method::PATCH, path, "application/json-patch+json", &json!(patch)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
}

/// Whether the API server called the webhook, which nobody answers.
fn was_called(answer: &Answer) -> bool {
    let message = answer.body["message"].as_str().unwrap_or_default();
    let was_called = message.contains("failed calling webhook");
    // Another fault of the condition, such as an error in CEL, must not pass for a call.
    assert_eq!(was_called, answer.status == StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.body);
    was_called
}

async fn start(values: &[&str]) -> (Cluster, Client) {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    for name in ["istio-system", "edge", "free"] {
        api::create(&client, &namespace(name)).await;
    }
    cluster.install(values);
    disconnect(&client).await;
    (cluster, client)
}

async fn until_called(client: &Client) {
    let is_called = async || was_called(&api::post(client, &gateway_pod("probe"), true).await);
    assert!(wait::until_so(is_called).await, "the API server never calls the webhook");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_replica_runs_istiod_and_other_pods_of_the_namespace_are_not_blocked() {
    let (_cluster, client) = start(&["--set-json", r#"webhooks.gatewayNamespaces=["free"]"#]).await;
    until_called(&client).await;
    let istiod = json!({"app": "istiod", "istio": "pilot"});
    let mut discovery = service("istiod");
    discovery["spec"]["selector"] = istiod.clone();
    discovery["spec"]["type"] = json!("ClusterIP");
    for object in [pod("istio-system", "istiod", &istiod), pod("istio-system", "bare", &json!({})), discovery]
    {
        let answer = api::post(&client, &object, false).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    }
    // Both ways across the border are judged, and so is a Service whose endpoints somebody else writes.
    let becomes = json!({"metadata": {"labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"}}});
    let path = "/api/v1/namespaces/istio-system/pods/istiod";
    assert!(was_called(&call(&client, Method::PATCH, path, "application/merge-patch+json", &becomes).await));
    let mut bare = service("bare");
    bare["spec"]["selector"] = Value::Null;
    // The endpoints of a selector that was replaced stay for a moment.
    let mut local = service("local");
    local["spec"]["selector"] = istiod.clone();
    local["spec"]["externalTrafficPolicy"] = json!("Local");
    assert_eq!(api::post(&client, &local, false).await.status, StatusCode::CREATED);
    let path = "/api/v1/namespaces/istio-system/services/local";
    let cluster = json!({"spec": {"externalTrafficPolicy": "Cluster"}});
    assert!(was_called(&call(&client, Method::PATCH, path, "application/merge-patch+json", &cluster).await));
    let label = json!({"metadata": {"labels": {"team": "x"}}});
    assert!(!was_called(&call(&client, Method::PATCH, path, "application/merge-patch+json", &label).await));
    let mut other = pod("free", "other", &istiod);
    for object in [&bare, &service("gateway"), &gateway_pod("gateway"), &other] {
        assert!(was_called(&api::post(&client, object, true).await), "{object}");
    }
    other["metadata"]["namespace"] = json!("edge");
    assert!(!was_called(&api::post(&client, &other, true).await));
}

fn labels() -> impl Strategy<Value = Labels> {
    let values = ["istio-ingressgateway", "ingressgateway", "egressgateway", "edge", "istiod", ""];
    let value = || prop::option::weighted(0.7, prop::sample::select(values.to_vec()));
    (value(), value(), value()).prop_map(|(app, istio, version)| {
        let found = [("app", app), ("istio", istio), ("version", version)].into_iter();
        found.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

/// The kinds of the gateways' namespaces.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Judged {
    Pod,
    Service(&'static str),
    DaemonSet,
}

fn object(judged: Judged, namespace: &str, name: &str, labels: &Labels) -> Value {
    match judged {
        Judged::Pod => pod(namespace, name, &json!(labels)),
        Judged::Service(kind) => {
            let mut object = service(name);
            object["metadata"]["namespace"] = json!(namespace);
            object["spec"]["type"] = json!(kind);
            object["spec"]["selector"] = json!(labels);
            object
        }
        Judged::DaemonSet => {
            let own = json!({"set": "own"});
            let mut template = json!(labels);
            template["set"] = json!("own");
            let containers = json!([{"name": "proxy", "image": "istio/proxyv2"}]);
            json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"matchLabels": own},
                    "template": {"metadata": {"labels": template}, "spec": {"containers": containers}}},
            })
        }
    }
}

/// Whether an object with these labels, or with this selector, can belong to one of the gateways.
fn may_belong(judged: Judged, labels: &Labels) -> bool {
    topologies().as_array().unwrap().iter().any(|topology| {
        let gateway: Labels =
            serde_json::from_value(topology["spec"]["gateway"]["podLabels"].clone()).unwrap();
        match judged {
            Judged::Pod | Judged::DaemonSet => {
                gateway.iter().all(|(key, value)| labels.get(key) == Some(value))
            }
            // A pod can have both the gateway's labels and those that are selected, unless they contradict each other.
            Judged::Service(_) => {
                labels.iter().all(|(key, value)| gateway.get(key).is_none_or(|it| it == value))
            }
        }
    })
}

fn decode(object: &Value) -> Object {
    let kind = Kind::ALL.into_iter().find(|kind| {
        kind.resource().plural == format!("{}s", object["kind"].as_str().unwrap().to_lowercase())
    });
    kind.unwrap().deserialize(object.clone()).unwrap().unwrap()
}

/// Whether a rule says anything of the change, in either phase.
fn is_judged(change: &Change, snapshot: &Snapshot) -> bool {
    Phase::ALL.into_iter().any(|phase| rules::judge(change, phase, snapshot).headline().is_some())
}

/// The release's topologies, and live gateway pods with more labels than their topologies name.
fn snapshot() -> Snapshot {
    let mut inventory = Inventory::default();
    for topology in topologies().as_array().unwrap() {
        let name = topology["name"].as_str().unwrap();
        let spec = spec_of(topology);
        for version in ["istiod", ""] {
            let mut labels = spec.gateway.pod_labels.clone();
            labels.insert("version".into(), version.into());
            let key =
                ObjectKey { namespace: spec.gateway.namespace.clone(), name: format!("{name}{version}") };
            inventory.pods.insert(key, labels);
        }
        inventory.topologies.insert(name.to_owned(), Declared { generation: 1, created: None, spec });
    }
    Snapshot::new(&inventory)
}

/// One random object as it is and as it may become.
#[derive(Debug)]
struct Course {
    judged: Judged,
    namespace: &'static str,
    old: Labels,
    new: Vec<Labels>,
}

fn courses(count: usize) -> Vec<Course> {
    let judged = prop::sample::select(vec![
        Judged::Pod,
        Judged::Service("LoadBalancer"),
        Judged::Service("NodePort"),
        Judged::Service("ClusterIP"),
        Judged::DaemonSet,
    ]);
    let namespace = prop::sample::select(vec!["istio-system", "istio-system", "edge", "free"]);
    let course = (judged, namespace, labels(), prop::collection::vec(labels(), 3))
        .prop_map(|(judged, namespace, old, new)| Course { judged, namespace, old, new });
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| course.new_tree(&mut runner).unwrap().current()).collect()
}

/// How often requests of a kind were sent, and how often not.
#[derive(Debug, Default)]
struct Tally([usize; 2]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhooks_are_called_for_every_object_that_can_belong_to_a_gateway_and_for_no_other() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    for name in ["istio-system", "edge", "free"] {
        api::create(&client, &namespace(name)).await;
    }
    let courses = courses(300);
    let name = |index: usize| format!("it-{index}");
    for (index, course) in courses.iter().enumerate() {
        api::create(&client, &object(course.judged, course.namespace, &name(index), &course.old)).await;
    }
    cluster.install(&[
        "--set-json",
        &format!("topologies={}", topologies()),
        "--set-json",
        r#"webhooks.gatewayNamespaces=["free"]"#,
    ]);
    disconnect(&client).await;
    until_called(&client).await;

    let (snapshot, mut tally) = (snapshot(), Tally::default());
    let mut check = |course: &Course, answer: &Answer, belongs: bool, change: &Change| {
        let called = was_called(answer);
        assert_eq!(called, belongs || course.namespace == "free", "{change:?}: {}", answer.body);
        assert!(called || !is_judged(change, &snapshot), "a rule judges what is not sent: {change:?}");
        tally.0[usize::from(called)] += 1;
    };
    for (index, course) in courses.iter().enumerate() {
        let (judged, namespace) = (course.judged, course.namespace);
        let old = object(judged, namespace, &name(index), &course.old);
        let new = object(judged, namespace, &format!("new-{index}"), &course.old);
        let created = Change::create(namespace, "new", decode(&new));
        check(course, &api::post(&client, &new, true).await, may_belong(judged, &course.old), &created);
        for labels in &course.new {
            let new = object(judged, namespace, &name(index), labels);
            let path = format!("{}?dryRun=All", api::path_of(&old));
            let patch = json_patch(judged, labels);
            let answer = call(&client, Method::PATCH, &path, "application/json-patch+json", &patch).await;
            let change = Change::update(namespace, "it", decode(&new), Some(decode(&old)));
            let belongs = may_belong(judged, &course.old) || may_belong(judged, labels);
            check(course, &answer, belongs, &change);
        }
    }
    println!("not called and called: {:?}", tally.0);
    assert!(tally.0.iter().all(|count| *count > 200), "{tally:?}");
}

fn json_patch(judged: Judged, labels: &Labels) -> Value {
    let (path, value) = match judged {
        Judged::Pod => ("/metadata/labels", json!(labels)),
        Judged::Service(_) => ("/spec/selector", json!(labels)),
        Judged::DaemonSet => {
            let mut labels = labels.clone();
            labels.insert("set".to_owned(), "own".to_owned());
            ("/spec/template/metadata/labels", json!(labels))
        }
    };
    json!([{"op": "add", "path": path, "value": value}])
}

/// The configurations that the chart renders, each with a `caBundle`.
fn rendered(values: &[&str]) -> [Configuration; 2] {
    let objects = Helm::offline().render("default", values);
    ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(|kind| {
        let mut object = objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
        for webhook in object["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = json!("YQ==");
        }
        serde_json::from_value(object).unwrap()
    })
}

#[test]
fn a_topology_is_guarded_if_the_values_name_it_or_its_namespace_or_if_all_objects_are_sent() {
    let verdict = |spec: &GatewayTopologySpec, values: &[&str]| {
        let [mutating, validating] = rendered(values);
        let (mutating, validating) = (Some(&mutating), Some(&validating));
        let calls = Calls::new();
        judge(
            spec,
            Configurations { name: "lockstep", mutating, validating, trust_anchors: None, calls: &calls },
        )
    };
    let release = format!("topologies={}", topologies());
    let in_values = ["--set-json", release.as_str()];
    for topology in topologies().as_array().unwrap() {
        let guarded = verdict(&spec_of(topology), &in_values);
        assert!(guarded.is_guarded(), "{}", guarded.message);
    }
    // A topology that somebody has created beside the release.
    let labels = json!({"app": "other"});
    let other = spec_of(&json!({"spec": {"gateway": {"namespace": "istio-system", "podLabels": labels}}}));
    let guarded = verdict(&other, &in_values);
    assert!(!guarded.is_guarded());
    let words = "is called for the pods and Services of the gateways in the chart's values only: add the topology to the values, \
                 or its gateway's namespace to `webhooks.gatewayNamespaces`";
    assert!(guarded.message.contains(words), "{}", guarded.message);
    for way_out in [r#"webhooks.gatewayNamespaces=["istio-system"]"#, "webhooks.onlyGatewayObjects=false"] {
        let guarded = verdict(&other, &[&in_values[..], &["--set-json", way_out]].concat());
        assert!(guarded.is_guarded(), "{way_out}: {}", guarded.message);
    }
}
