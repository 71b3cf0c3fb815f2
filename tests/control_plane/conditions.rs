//! The conditions, Services, findings and Events that `lockstep serve` writes on a real API server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep::cluster::topology_status::{self, TopologyStatus, TopologyStatuses};
use lockstep_test_support::api::{call, create, path_of};
use lockstep_test_support::control_plane::{AuditLevel, ControlPlane, MetalLb, Options};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::state::{put, stored_objects};
use lockstep_test_support::{number, wait};
use serde_json::{Value, json};
use tokio::process::Command;

use super::states::{Readers, grant, preserved, remove, start, states, until_granted};

/// The longest time that a change may take to be seen: moments, on an idle machine.
const DEADLINE: Duration = Duration::from_secs(90);

const CONDITIONS: [&str; 3] = ["Aligned", "SourceIPPreserved", "Resilient"];

/// The user as whom Lockstep runs.
const LOCKSTEP: &str = "lockstep";

/// Everything that Lockstep reads and writes.
const RIGHTS: [(&str, &str, &[&str]); 19] = [
    ("", "nodes", READ),
    ("", "namespaces", READ),
    ("", "pods", READ),
    ("", "services", READ),
    ("discovery.k8s.io", "endpointslices", READ),
    ("metallb.io", "addresspools", READ),
    ("metallb.io", "bgpadvertisements", READ),
    ("metallb.io", "ipaddresspools", READ),
    ("metallb.io", "l2advertisements", READ),
    ("metallb.io", "servicel2statuses", READ),
    ("apps", "daemonsets", READ),
    ("apps", "deployments", READ),
    ("apps", "statefulsets", READ),
    ("policy", "poddisruptionbudgets", READ),
    ("lockstep.dev", "gatewaytopologies", READ),
    ("lockstep.dev", "gatewaytopologies/status", &["patch"]),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["get", "list", "watch"]),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", &["get", "list", "watch"]),
    ("events.k8s.io", "events", &["create", "patch"]),
];

const READ: &[&str] = &["list", "watch"];

/// The rules of a role with all rights but those on one resource.
fn rules(without: &str) -> Vec<Value> {
    let rights = RIGHTS.iter().filter(|(_, resource, _)| *resource != without);
    let rule = |(group, resource, verbs): &(&str, &str, &[&str])| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    rights.map(rule).collect()
}

/// A control plane whose audit log has every request.
async fn start_audited() -> (ControlPlane, Client) {
    let control_plane =
        ControlPlane::start_with(Options::default().audit(AuditLevel::Metadata)).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &objects::namespace(name)).await;
    }
    (control_plane, client)
}

/// `lockstep serve` as the user of this name.
async fn serve_as(readers: &Readers, user: &str) -> (Serve, tempfile::TempDir) {
    let mut kubeconfig: Value =
        serde_json::from_str(&std::fs::read_to_string(readers.path()).unwrap()).unwrap();
    kubeconfig["current-context"] = json!(user);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let serve = Serve::start(&["--webhook-configuration", "lockstep"], Some(&path)).await;
    (serve, folder)
}

/// Users with all rights but those on the resource that they are named after; `lockstep` has all.
async fn users(control_plane: &ControlPlane, client: &Client, without: &[&str]) -> Readers {
    let names: Vec<String> =
        std::iter::once(LOCKSTEP.to_owned()).chain(without.iter().map(|it| user(it))).collect();
    grant(client, LOCKSTEP, None, &rules("")).await;
    for resource in without {
        grant(client, &user(resource), None, &rules(resource)).await;
    }
    for (name, resource) in names.iter().zip(std::iter::once(&"").chain(without)) {
        let other = if *resource == "nodes" { ("", "pods") } else { ("", "nodes") };
        until_granted(client, name, "", other).await;
    }
    Readers::new(control_plane, &names)
}

fn user(without: &str) -> String {
    format!("without-{}", without.replace('/', "-"))
}

/// The conditions that follow from an assessment: type, status, reason, message.
type Conditions = Vec<[String; 4]>;

fn conditions(topology: &TopologyStatus) -> Conditions {
    let found = |kind: &&str| topology.status.condition(kind);
    let found = CONDITIONS.iter().filter_map(found);
    found
        .filter(|condition| condition.observed_generation == Some(topology.generation))
        .map(|it| [it.type_.clone(), it.status.clone(), it.reason.clone(), it.message.clone()])
        .collect()
}

/// The conditions that `lockstep explain` prints for a state, by topology.
async fn explained(state: &Path) -> Vec<(String, Conditions, Value)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.args(["explain", "-o", "json", "-f"]).arg(state).output().await.unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let topologies = document["topologies"].as_array().unwrap().iter().map(|topology| {
        let printed = topology["conditions"].as_array().unwrap();
        let find = |kind: &&str| printed.iter().find(|condition| condition["type"] == **kind).unwrap();
        let conditions = CONDITIONS.iter().map(find);
        let fields = |it: &Value| ["type", "status", "reason", "message"].map(|field| text(&it[field]));
        (text(&topology["name"]), conditions.map(fields).collect(), topology["services"].clone())
    });
    topologies.collect()
}

/// Waits until the status of topologies is as wanted.
async fn until(client: &Client, what: &str, is_so: impl Fn(&TopologyStatuses) -> bool) -> TopologyStatuses {
    let topologies = topology_status::wait(client.clone(), DEADLINE, &is_so).await.unwrap();
    assert!(is_so(&topologies), "never {what}: {topologies:#?}");
    topologies
}

fn status<'t>(topologies: &'t TopologyStatuses, name: &str, kind: &str) -> Option<&'t str> {
    let condition = topologies.get(name)?.status.condition(kind)?;
    Some(condition.status.as_str())
}

async fn until_status(client: &Client, name: &str, kind: &str, wanted: &str) -> TopologyStatuses {
    let what = format!("{kind}={wanted}");
    until(client, &what, |topologies| status(topologies, name, kind) == Some(wanted)).await
}

/// A topology that a state without one is judged by: the built-in one.
fn built_in() -> Value {
    objects::topology("istio-ingressgateway", &json!({}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_what_explain_says_of_the_same_objects() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let serve =
        Serve::start(&["--webhook-configuration", "lockstep"], Some(control_plane.kubeconfig_path())).await;
    wait::until_ready(&serve.admin).await;
    for state in states() {
        let mut objects = stored_objects(&state);
        if !objects.iter().any(|object| object["kind"] == "GatewayTopology") {
            objects.push(built_in());
        }
        // With the topology as the last object, one status is written.
        objects.sort_by_key(|object| object["kind"] == "GatewayTopology");
        put(&client, &objects).await;
        for (name, expected, services) in explained(&state).await {
            let what = format!("{}: {expected:#?}", state.display());
            let is_so = |topologies: &TopologyStatuses| {
                topologies.get(&name).is_some_and(|topology| conditions(topology) == expected)
            };
            let topologies = until(&client, &what, is_so).await;
            let written = &topologies[&name].status;
            let mut outcomes: Vec<(&str, &str)> =
                written.services.iter().map(|it| (it.name.as_str(), it.outcome.as_str())).collect();
            outcomes.sort_unstable();
            let printed = services.as_array().unwrap().iter().flat_map(|service| {
                let addresses = service["addresses"].as_array().unwrap().iter();
                addresses.map(|it| (service["name"].as_str().unwrap(), it["outcome"].as_str().unwrap()))
            });
            let mut printed: Vec<(&str, &str)> = printed.collect();
            printed.sort_unstable();
            assert_eq!(outcomes, printed, "{what}");
        }
        remove(&client, &objects).await;
    }
}

/// The changes that a user has asked the API server for, by verb and resource.
fn writes(control_plane: &ControlPlane, user: &str) -> Vec<String> {
    let log = std::fs::read_to_string(control_plane.audit_log().unwrap()).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = events.filter(|event| event["impersonatedUser"]["username"] == user);
    let writes = own.filter(|event| {
        !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap())
            && event["stage"] == "ResponseComplete"
    });
    writes
        .map(|event| {
            format!(
                "{} {}",
                event["verb"].as_str().unwrap(),
                event["objectRef"]["resource"].as_str().unwrap()
            )
        })
        .collect()
}

async fn label(client: &Client, node: &str, value: Option<&str>) {
    let patch = json!({"metadata": {"labels": {LABEL: value}}});
    let path = format!("/api/v1/nodes/{node}");
    let answer = call(client, Method::PATCH, &path, "application/merge-patch+json", &patch).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

/// The Events about an object of this kind: type, reason, and the object's uid.
async fn events(client: &Client, kind: &str) -> Vec<(String, String, String)> {
    let answer =
        call(client, Method::GET, "/apis/events.k8s.io/v1/events", "application/json", &Value::Null).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = answer.body["items"].as_array().unwrap().iter();
    items
        .filter(|event| event["regarding"]["kind"] == kind)
        .map(|event| (text(&event["type"]), text(&event["reason"]), text(&event["regarding"]["uid"])))
        .collect()
}

async fn uid(client: &Client, object: &Value) -> String {
    let answer = call(client, Method::GET, &path_of(object), "application/json", &Value::Null).await;
    answer.body["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn seconds(variable: &str, default: u64) -> Duration {
    Duration::from_secs(number(variable, default))
}

/// `LOCKSTEP_IDLE_SECONDS` sets how long the idle time is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relabelled_node_shows_at_once_and_nothing_is_written_while_nothing_changes() {
    let (control_plane, client) = start_audited().await;
    let objects = stored_objects(&announced_by_layer2());
    put(&client, &objects).await;
    let users = users(&control_plane, &client, &[]).await;
    let (serve, _folder) = serve_as(&users, LOCKSTEP).await;
    wait::until_ready(&serve.admin).await;
    until_status(&client, "edge", "SourceIPPreserved", "True").await;

    let table = table(&client).await;
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["priority"] == 0)
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "Guarded", "Aligned", "Preserved", "Resilient", "Enforcement", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..6], ["edge", "False", "True", "True", "True", "Enforce"].map(Value::from));
    let wide = ["istio-system", r#"["default-pool"]"#, "Exact"].map(Value::from);
    assert_eq!(cells[7..10], wide, "what `-o wide` adds");
    assert_eq!(
        cells[10..14],
        [1, 2, 2, 2].map(Value::from),
        "addresses; gateway, announcing and serving nodes"
    );
    assert_eq!(cells[14..], ["True", "False"].map(Value::from), "Enforced and Stalled");

    // The node of the only ready pods loses the label.
    let mut times = Vec::new();
    for (value, aligned) in [(None, "False"), (Some("arp"), "True"), (None, "False"), (Some("arp"), "True")] {
        let asked = Instant::now();
        for node in ["n1", "n2"] {
            label(&client, node, value).await;
        }
        until_status(&client, "edge", "SourceIPPreserved", aligned).await;
        times.push(asked.elapsed());
        // Writes in a row are limited; these are single changes.
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    println!("from the relabel to the condition: {times:?}");

    let kubeconfig = control_plane.kubeconfig_path();
    let report = lockstep_status(
        kubeconfig,
        &["--for", "preserved", "--for", "aligned", "--wait", "60", "-o", "wide"],
    )
    .await;
    assert!(
        report.0 && report.1.contains("\nedge  False    True     True       True       1 of 1 "),
        "{}",
        report.1
    );
    let report = lockstep_status(kubeconfig, &[]).await;
    assert!(!report.0 && report.1.contains("\nedge: Guarded is False: NoConfiguration: "), "{}", report.1);

    for (kind, object) in [("GatewayTopology", &objects[0]), ("Service", service_of(&objects))] {
        let uid = uid(&client, object).await;
        let told = wait::until_some(async || {
            let events = events(&client, kind).await;
            let has = |kind: &str| events.iter().any(|event| event.0 == kind && event.2 == uid);
            (has("Warning") && has("Normal")).then_some(events)
        });
        assert!(told.await.is_some(), "{kind}: {:?}", events(&client, kind).await);
    }

    let idle = seconds("LOCKSTEP_IDLE_SECONDS", 15);
    let before = writes(&control_plane, LOCKSTEP).len();
    tokio::time::sleep(idle).await;
    let written = writes(&control_plane, LOCKSTEP);
    assert_eq!(written[before..], [""; 0], "written in {idle:?} without a change");

    // A thousand relabels lead to few writes, and the last state wins.
    let started = Instant::now();
    for round in 0..500 {
        label(&client, "n1", None).await;
        label(&client, "n1", Some(if round == 499 { "other" } else { "arp" })).await;
    }
    label(&client, "n2", None).await;
    until_status(&client, "edge", "SourceIPPreserved", "False").await;
    let elapsed = started.elapsed();
    let written = &writes(&control_plane, LOCKSTEP)[before..];
    let status = written.iter().filter(|write| write.as_str() == "patch gatewaytopologies").count();
    let others = written.len() - status;
    println!("1,001 relabels in {elapsed:?}: {status} writes of the status, {others} of Events");
    assert!(status as u64 <= 5 + 1 + elapsed.as_secs() / 10 + 1, "{status} writes in {elapsed:?}");
    assert!(others <= 50, "{others} Events");
    let mut distinct = events(&client, "GatewayTopology").await;
    distinct.extend(events(&client, "Service").await);
    assert!(distinct.len() <= 50, "{distinct:?}");
}

/// The topologies as `kubectl get` receives them.
async fn table(client: &Client) -> Value {
    let path = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";
    let request = axum::http::Request::get(path)
        .header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")
        .body(Vec::new())
        .unwrap();
    client.request(request).await.unwrap()
}

/// Runs `lockstep status`. Returns whether it succeeds, and its output.
async fn lockstep_status(kubeconfig: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.arg("status").args(arguments).env("KUBECONFIG", kubeconfig).output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A state that MetalLB announces by layer 2, with two ready gateway pods on `n1` and `n2`.
fn announced_by_layer2() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml")
}

fn service_of(objects: &[Value]) -> &Value {
    objects.iter().find(|object| object["kind"] == "Service").unwrap()
}

/// Without a right, what takes the kind is Unknown, and everything else is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_right_what_takes_it_is_unknown_and_the_rest_works() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let without = [
        ("endpointslices", "Unknown", "True"),
        ("bgpadvertisements", "Unknown", "True"),
        ("namespaces", "True", "False"),
        ("servicel2statuses", "True", "False"),
        ("deployments", "True", "False"),
        ("statefulsets", "True", "False"),
        ("daemonsets", "True", "False"),
        ("poddisruptionbudgets", "True", "False"),
        ("events", "True", "False"),
        ("addresspools", "True", "False"),
        ("services", "Unknown", "True"),
        ("pods", "Unknown", "True"),
        ("ipaddresspools", "Unknown", "True"),
        ("l2advertisements", "Unknown", "True"),
    ];
    let users = users(&control_plane, &client, &without.map(|(resource, ..)| resource)).await;
    let objects = stored_objects(&preserved());
    for (resource, preserved, stalled) in without {
        put(&client, &objects).await;
        let (_serve, _folder) = serve_as(&users, &user(resource)).await;
        let what = format!("without {resource}: SourceIPPreserved={preserved}, Stalled={stalled}");
        let topologies = until(&client, &what, |topologies| {
            status(topologies, "edge", "SourceIPPreserved") == Some(preserved)
                && status(topologies, "edge", "Stalled") == Some(stalled)
        })
        .await;
        assert_eq!(status(&topologies, "edge", "Guarded"), Some("False"), "{what}");
        if stalled == "True" {
            let message = &topologies["edge"].status.condition("Stalled").unwrap().message;
            let named = message.contains(resource) || message.contains("have not been read yet");
            assert!(named, "{what}: {message}");
        }
        remove(&client, &objects).await;
    }
}

/// One replica may not write Events, and for a while, the API server refuses the status of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_writes_are_retried_within_bounds_and_lose_no_condition() {
    let (control_plane, client) = start_audited().await;
    put(&client, &stored_objects(&announced_by_layer2())).await;
    let users = users(&control_plane, &client, &["events"]).await;
    let replicas = [serve_as(&users, LOCKSTEP).await, serve_as(&users, &user("events")).await];
    until_status(&client, "edge", "SourceIPPreserved", "True").await;

    let policy = refusal();
    for (plural, object) in &policy {
        let answer = call(&client, Method::POST, &admission(plural, ""), "application/json", object).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    }
    let refused = wait::until_so(async || {
        let path = format!("{}/status", path_of(&objects::topology("edge", &json!({}))));
        let patch = json!({"status": {"observedGeneration": 99}});
        let path = format!("{path}?dryRun=All");
        call(&client, Method::PATCH, &path, "application/merge-patch+json", &patch).await.status
            != StatusCode::OK
    });
    assert!(refused.await, "the policy never applies");
    let count = || [LOCKSTEP, &user("events")].map(|user| writes(&control_plane, user).len());
    let before = count();
    for node in ["n1", "n2"] {
        label(&client, node, None).await;
    }
    for (serve, _) in &replicas {
        let failed = "lockstep_status_writes_total{result=\"failed\"}";
        wait::until(&serve.admin, "/metrics", |_, text| {
            lockstep_test_support::webhook::total(text, failed) >= 3
        })
        .await;
    }
    let outage = seconds("LOCKSTEP_REFUSE_SECONDS", 15);
    tokio::time::sleep(outage).await;
    for (before, after) in before.into_iter().zip(count()) {
        println!("{} attempts while writes were refused", after - before);
        assert!(after - before <= 12, "{} attempts", after - before);
    }
    for (plural, _) in &policy {
        let path = admission(plural, "/refusal");
        let answer = call(&client, Method::DELETE, &path, "application/json", &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    let topologies = until_status(&client, "edge", "SourceIPPreserved", "False").await;
    assert_eq!(topologies["edge"].status.conditions.len(), 6, "{topologies:?}");
    // Neither replica rewrites what the other one has written.
    let settled = count();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = |user: &str| {
        writes(&control_plane, user).into_iter().filter(|write| write.contains("gatewaytopologies")).count()
    };
    println!("status writes: {} and {}", status(LOCKSTEP), status(&user("events")));
    let written = count();
    assert!(
        written.iter().zip(settled).all(|(after, before)| after - before <= 8),
        "{settled:?} {written:?}"
    );
}

fn admission(plural: &str, name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{plural}{name}")
}

/// A policy of the API server's own that denies every change of a topology's status.
fn refusal() -> [(&'static str, Value); 2] {
    let group = "admissionregistration.k8s.io/v1";
    [
        (
            "validatingadmissionpolicies",
            json!({
                "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "refusal"},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"resourceRules": [{
                        "apiGroups": ["lockstep.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
                        "resources": ["gatewaytopologies/status"],
                    }]},
                    "validations": [{"expression": "false", "message": "no"}],
                },
            }),
        ),
        (
            "validatingadmissionpolicybindings",
            json!({
                "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "refusal"},
                "spec": {"policyName": "refusal", "validationActions": ["Deny"]},
            }),
        ),
    ]
}
