//! The reports of topologies on a real API server, with the definitions of OpenReports and of the policy working group.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep::assessment::{Cause, CauseCode, TopologyAssessment};
use lockstep::cluster::{
    self, Assessments, ReportInputs, WatchMetrics, reconcile_reports, watch_webhook_configurations,
};
use lockstep_test_support::api::{call, create, delete};
use lockstep_test_support::control_plane::{AuditLevel, ControlPlane, MetalLb, Options, ReportKinds};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::state::{put, stored_objects};
use lockstep_test_support::wait;
use lockstep_test_support::webhook;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const OPEN: &str = "/apis/openreports.io/v1alpha1/clusterreports";
const POLICY: &str = "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports";
const ARGUMENTS: [&str; 3] = ["--webhook-configuration", "lockstep", "--reports"];

/// A control plane with everything but reports, registered webhook configurations, and a topology `edge` that is well.
async fn start(level: AuditLevel) -> (ControlPlane, Client) {
    let control_plane = ControlPlane::start_with(Options::default().audit(level)).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &objects::namespace(name)).await;
    }
    let state = "tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml";
    put(&client, &stored_objects(&Path::new(env!("CARGO_MANIFEST_DIR")).join(state))).await;
    // The webhook is never called: what it judges exists already.
    webhook::register(&client, "localhost:1", control_plane.ca_pem()).await;
    (control_plane, client)
}

/// The reports of one kind; none while the kind is not served.
async fn reports(client: &Client, path: &str) -> Vec<Value> {
    let answer = call(client, Method::GET, path, "application/json", &Value::Null).await;
    answer.body["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until there is one report of this kind, and it is as wanted.
async fn until(client: &Client, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Vec::new();
    let found = wait::until_some(async || {
        last = reports(client, path).await;
        assert!(last.len() <= 1, "more than one report of a topology: {last:?}");
        last.first().filter(|report| is_so(report)).cloned()
    });
    match found.await {
        Some(report) => report,
        None => panic!("never {what}: {last:#?}"),
    }
}

async fn until_none(client: &Client, path: &str) {
    let is_gone = wait::until_so(async || reports(client, path).await.is_empty());
    assert!(is_gone.await, "{path}: {:?}", reports(client, path).await);
}

async fn label(client: &Client, node: &str, value: Option<&str>) {
    let patch = json!({"metadata": {"labels": {LABEL: value}}});
    let path = format!("/api/v1/nodes/{node}");
    let answer = call(client, Method::PATCH, &path, "application/merge-patch+json", &patch).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

/// The writes of reports in the audit log: the verb, what was sent, and the code of the answer.
fn writes(control_plane: &ControlPlane) -> Vec<(String, Value, u64)> {
    let log = std::fs::read_to_string(control_plane.audit_log().unwrap()).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_write = |event: &Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        ["clusterreports", "clusterpolicyreports"].contains(&resource)
            && !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap())
            && !event["requestURI"].as_str().unwrap().contains("dryRun")
    };
    let parts = |event: Value| {
        let verb = event["verb"].as_str().unwrap().to_owned();
        (verb, event["requestObject"].clone(), event["responseStatus"]["code"].as_u64().unwrap())
    };
    events.filter(is_write).map(parts).collect()
}

async fn uid(client: &Client, path: &str) -> String {
    let answer = call(client, Method::GET, path, "application/json", &Value::Null).await;
    answer.body["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// Asserts that a report is that of the topology `edge`, complete and valid.
async fn assert_complete(client: &Client, path: &str, report: &Value) {
    assert_eq!(report["metadata"]["name"], "lockstep-edge");
    assert_eq!(report["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "lockstep"}));
    let configuration = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep";
    // Without `blockOwnerDeletion`, no right on the owner is needed.
    let owner = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "name": "lockstep", "uid": uid(client, configuration).await,
    });
    assert_eq!(report["metadata"]["ownerReferences"], json!([owner]));
    let topology = "/apis/lockstep.dev/v1alpha1/gatewaytopologies/edge";
    let scope = json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "name": "edge",
        "uid": uid(client, topology).await,
    });
    assert_eq!(report["scope"], scope);
    assert_eq!(report["source"], if path == OPEN { json!("lockstep") } else { Value::Null });
    let results = report["results"].as_array().unwrap();
    assert_eq!(report["summary"], json!({"pass": 3, "fail": 0, "warn": 0, "error": 0, "skip": 0}));
    let address = results.iter().find(|result| result["policy"] == "SourceIPPreserved").unwrap();
    assert_eq!(address["properties"]["address"], "10.6.229.180");
    assert_eq!((&address["source"], &address["rule"]), (&json!("lockstep"), &json!("OK")));
    let service = json!({"apiVersion": "v1", "kind": "Service", "namespace": "istio-system", "name": "istio-ingressgateway"});
    assert_eq!(address["resources"], json!([service]));
    assert!(address["timestamp"]["seconds"].as_i64().unwrap() > 0);
}

/// Asserts that the API server accepts what was sent with strict validation: no field is unknown.
async fn assert_strict(client: &Client, path: &str, sent: &Value) {
    let mut object = sent.clone();
    object["metadata"]["name"] = json!("strict");
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let path = format!("{path}?dryRun=All&fieldValidation=Strict");
    let answer = call(client, Method::POST, &path, "application/json", &object).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.warnings, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kind_that_is_installed_is_written_and_with_both_only_openreports() {
    let (control_plane, client) = start(AuditLevel::RequestResponse).await;
    let mut serve = Serve::start(&ARGUMENTS, Some(control_plane.kubeconfig_path())).await;
    wait::until_ready(&serve.admin).await;
    serve.event("wrote the status of a topology").await;

    control_plane.install_reports(ReportKinds::PolicyReports).await.unwrap();
    let is_well = |report: &Value| report["summary"]["pass"] == 3;
    let report = until(&client, POLICY, "written", is_well).await;
    assert_complete(&client, POLICY, &report).await;
    assert_eq!(serve.event("writing a report of every topology").await["kind"], "ClusterPolicyReport");

    control_plane.install_reports(ReportKinds::OpenReports).await.unwrap();
    let report = until(&client, OPEN, "written", is_well).await;
    assert_complete(&client, OPEN, &report).await;
    until_none(&client, POLICY).await;
    let writes = writes(&control_plane);
    let verbs: Vec<&str> = writes.iter().map(|(verb, ..)| verb.as_str()).collect();
    assert_eq!(verbs.iter().filter(|verb| **verb == "create").count(), 2, "{verbs:?}");
    assert!(verbs.contains(&"delete") && verbs.len() <= 6, "{verbs:?}");
    for (_, sent, _) in writes.iter().filter(|(verb, ..)| verb == "create") {
        assert_strict(&client, if sent["kind"] == "ClusterReport" { OPEN } else { POLICY }, sent).await;
    }
    // A kind that is not installed is no problem to report.
    serve.signal("TERM");
    let (code, log) = serve.ended().await;
    assert_eq!(code, Some(0));
    let noise: Vec<&String> =
        log.iter().filter(|line| line.contains("Report") && !line.contains("\"level\":\"INFO\"")).collect();
    assert_eq!(noise, Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_follows_its_topology_with_few_writes_and_none_while_nothing_changes() {
    let (control_plane, client) = start(AuditLevel::RequestResponse).await;
    control_plane.install_reports(ReportKinds::OpenReports).await.unwrap();
    let replicas = [
        Serve::start(&ARGUMENTS, Some(control_plane.kubeconfig_path())).await,
        Serve::start(&ARGUMENTS, Some(control_plane.kubeconfig_path())).await,
    ];
    let count = |report: &Value, result: &str| report["summary"][result].as_u64().unwrap();
    let report = until(&client, OPEN, "well", |report| count(report, "pass") == 3).await;
    assert_complete(&client, OPEN, &report).await;

    for node in ["n1", "n2"] {
        label(&client, node, None).await;
    }
    let broken = until(&client, OPEN, "broken", |report| count(report, "fail") > 1).await;
    let first = &broken["results"][0];
    assert_eq!((&first["result"], &first["severity"]), (&json!("fail"), &json!("critical")));
    assert_eq!((&first["policy"], &first["scored"]), (&json!("SourceIPPreserved"), &json!(true)));
    assert!(first["message"].as_str().unwrap().starts_with("10.6.229.180: Silent: "), "{first}");
    for node in ["n1", "n2"] {
        label(&client, node, Some("arp")).await;
    }
    let mended = until(&client, OPEN, "mended", |report| count(report, "pass") == 3).await;
    assert_eq!(mended["metadata"]["uid"], report["metadata"]["uid"]);
    let sent = writes(&control_plane);
    assert!(sent.iter().any(|(verb, ..)| verb == "patch"), "{sent:?}");
    for (_, sent, _) in &sent {
        assert_strict(&client, OPEN, sent).await;
    }

    // A replica that is late by a moment has its write refused as a conflict.
    let stored = || writes(&control_plane).into_iter().filter(|(.., code)| *code != 409).collect::<Vec<_>>();
    let before = stored().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stored().split_off(before), [], "written without a change");
    println!("{} writes, {before} of them stored", writes(&control_plane).len());
    let before = writes(&control_plane).len();

    let started = Instant::now();
    for _ in 0..500 {
        label(&client, "n1", None).await;
        label(&client, "n1", Some("arp")).await;
    }
    label(&client, "n2", None).await;
    let elapsed = started.elapsed();
    until(&client, OPEN, "not well", |report| count(report, "pass") < 3).await;
    let flapping = writes(&control_plane).len() - before;
    let bound = replicas.len() * (5 + 1 + usize::try_from(elapsed.as_secs()).unwrap() / 10 + 1);
    println!("1,001 relabels in {elapsed:?}: {flapping} writes of the report by two replicas");
    assert!(flapping <= bound, "{flapping} writes in {elapsed:?}");

    assert_eq!(delete(&client, &objects::topology("edge", &json!({}))).await.status, StatusCode::OK);
    until_none(&client, OPEN).await;
}

/// One replica's report reconciler, with assessments that the test makes.
struct Replica {
    registry: Registry,
    assessments: watch::Sender<Option<Arc<Assessments>>>,
    task: JoinHandle<cluster::Error>,
}

impl Replica {
    fn start(client: &Client) -> Self {
        let metrics = WatchMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let (configurations, watch) =
            watch_webhook_configurations(client.clone(), "lockstep".to_owned(), metrics.clone());
        let (sender, assessments) = watch::channel(None);
        let inputs = ReportInputs { assessments, configurations };
        let reconciler = reconcile_reports(client.clone(), inputs, metrics);
        let task = tokio::spawn(async move {
            tokio::select! {
                error = reconciler => error,
                error = watch => error,
            }
        });
        Self { registry, assessments: sender, task }
    }

    /// Publishes an assessment of the topology `edge` with this finding.
    fn assess(&self, finding: &str) {
        let finding = Cause {
            code: CauseCode::NoPod,
            message: finding.to_owned(),
            mend: "change it".to_owned(),
            commands: Vec::new(),
        };
        let assessment = TopologyAssessment {
            name: "edge".into(),
            services: Vec::new(),
            enforcement: BTreeMap::new(),
            exceptions: Vec::new(),
            unread: None,
            unread_for_alignment: None,
            findings: vec![finding],
            nodes: None,
        };
        let topologies = BTreeMap::from([("edge".into(), (1, Arc::new(assessment)))]);
        self.assessments.send_replace(Some(Arc::new(Assessments { topologies })));
    }

    fn writes(&self, result: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let series = format!("report_writes_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn empty() -> (ControlPlane, Client) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_reports(ReportKinds::OpenReports).await.unwrap();
    let client = control_plane.client().await.unwrap();
    create(&client, &objects::topology("edge", &json!({}))).await;
    (control_plane, client)
}

fn says(report: &Value, finding: &str) -> bool {
    let results = report["results"].as_array().unwrap();
    results.iter().any(|result| result["message"].as_str().unwrap().starts_with(finding))
}

/// Replicas of two versions say the same in other words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_disagree_write_each_verdict_once_and_yield() {
    let (control_plane, client) = empty().await;
    webhook::register(&client, "localhost:1", control_plane.ca_pem()).await;
    let replicas = [Replica::start(&client), Replica::start(&client)];
    let total = || replicas.iter().map(|replica| replica.writes("stored")).sum::<u64>();
    replicas[0].assess("one");
    until(&client, OPEN, "written", |report| says(report, "one")).await;
    assert_eq!(total(), 1);
    replicas[1].assess("other");
    until(&client, OPEN, "written by the other one", |report| says(report, "other")).await;
    // The first one sees that its words are older. It yields for a minute.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(total(), 2);
    replicas[0].assess("news");
    until(&client, OPEN, "new", |report| says(report, "news")).await;
    assert_eq!(total(), 3);
    assert!(replicas.iter().all(|replica| replica.writes("failed") == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_needs_its_owner_and_follows_a_new_one() {
    let (control_plane, client) = empty().await;
    let replica = Replica::start(&client);
    replica.assess("one");
    webhook::register(&client, "localhost:1", control_plane.ca_pem()).await;
    let first = until(&client, OPEN, "written", |report| says(report, "one")).await;
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep");
        let answer = call(&client, Method::DELETE, &path, "application/json", &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    // A report without an owner would outlive the release.
    replica.assess("other");
    webhook::register(&client, "localhost:1", control_plane.ca_pem()).await;
    let second = until(&client, OPEN, "written for the new owner", |report| says(report, "other")).await;
    let owners = |report: &Value| report["metadata"]["ownerReferences"].as_array().unwrap().clone();
    assert_eq!((owners(&first).len(), owners(&second).len()), (1, 1));
    assert_ne!(owners(&first)[0]["uid"], owners(&second)[0]["uid"]);
    assert_eq!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_report_is_retried_within_bounds() {
    let (control_plane, client) = empty().await;
    webhook::register(&client, "localhost:1", control_plane.ca_pem()).await;
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let read = ["get", "list", "watch"];
    let reads = json!([
        rule("lockstep.dev", "gatewaytopologies", &read),
        rule("openreports.io", "clusterreports", &read),
        rule("wgpolicyk8s.io", "clusterpolicyreports", &read),
        rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &read),
        rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", &read),
    ]);
    super::status::grant(&client, "reads", &reads).await;
    let replica = Replica::start(&control_plane.client_as("alice").await.unwrap());
    replica.assess("one");
    let started = Instant::now();
    let failed = wait::until_so(async || replica.writes("failed") >= 3).await;
    assert!(failed && replica.writes("stored") == 0);
    // Pauses double from about a second.
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(replica.writes("failed") <= 4);
    let writes = json!([rule("openreports.io", "clusterreports", &["create", "delete", "patch"])]);
    super::status::grant(&client, "writes", &writes).await;
    until(&client, OPEN, "written", |report| says(report, "one")).await;
    assert_eq!(replica.writes("stored"), 1);
}
