//! Every case is judged by a real kube-apiserver with MetalLB's real CRDs and `lockstep serve` as its webhook.
//!
//! Every case gets namespaces and topologies of its own, so that all of them share one API server.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use futures::StreamExt;
use kube::Client;
use serde_json::{Value, json};

use lockstep_test_support::api;
use lockstep_test_support::case::{self, Case, Outcome};
use lockstep_test_support::control_plane::{AuditLevel, ControlPlane, MetalLb, Options};
use lockstep_test_support::findings::{self, Finding};
use lockstep_test_support::levels::{add_causes, add_warning, difference, edits_between, settle};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;

const AT_ONCE: usize = 8;

/// The newest MetalLB, or the one that the matrix chooses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_by_the_api_server() {
    by_the_api_server(MetalLb::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_by_the_api_server_with_metallb_0_13_5() {
    by_the_api_server(MetalLb::V0_13_5).await;
}

/// Returns the case with what is expected of it on this release. The objects stay whole, because the API server prunes them by the CRDs.
fn expecting(metallb: MetalLb, case: &Case) -> Case {
    let Case { expected, findings, .. } = match metallb {
        MetalLb::V0_13_5 => case.on_0_13_5(),
        MetalLb::V0_15_2 => case.on_0_15_2(),
        MetalLb::V0_16_2 => case.clone(),
    };
    Case { expected, findings, ..case.clone() }
}

async fn by_the_api_server(metallb: MetalLb) {
    let cases: Vec<Case> = case::all().iter().map(|case| expecting(metallb, case)).collect();
    let outcomes = judge_all(&cases, metallb).await;
    let pairs = cases.iter().zip(&outcomes);
    let differences: Vec<String> =
        pairs.filter_map(|(case, (expected, outcome))| difference(case, expected, outcome)).collect();
    settle("API server", cases.len(), &differences);
}

/// Runs all cases. Returns the actual and the expected outcome of each, in the order of the cases.
async fn judge_all(cases: &[Case], metallb: MetalLb) -> Vec<(Outcome, Outcome)> {
    let options = Options::default().audit(AuditLevel::Metadata);
    let control_plane = ControlPlane::start_with(options).await.unwrap();
    control_plane.install_metallb(metallb).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    wait::until_ready(&serve.admin).await;
    webhook::register(&client, &serve.webhook.replace("127.0.0.1", "localhost"), &serve.ca_pem).await;

    // Topologies come last: objects that violate a rule must exist before the rule applies.
    let worlds: Vec<World> = cases.iter().enumerate().map(|(index, case)| World::new(index, case)).collect();
    create_nodes(&client, cases).await;
    each(&worlds, |world| world.create_objects(&client)).await;
    each(&worlds, |world| world.create_topologies(&client)).await;
    let topologies = worlds.iter().map(|world| world.topologies.len()).sum();
    wait::until_enforced(&serve.admin, topologies).await;

    let judged = each(&worlds, |world| world.judge(&client)).await;
    let annotations = annotations(&control_plane, judged.iter().map(|(_, id)| id.as_str())).await;
    let outcomes = worlds.iter().zip(cases).zip(judged).map(|((world, case), (mut outcome, id))| {
        let findings = world.findings(case);
        add_annotations(&mut outcome, &findings, &annotations[&id]);
        (case.expected.with_texts(texts(&findings)), outcome)
    });
    outcomes.collect()
}

/// Returns the expected texts: those of the response, and the annotations of the most severe finding in the audit log.
fn texts(findings: &[Finding]) -> BTreeSet<String> {
    findings::answered(findings)
        .into_iter()
        .chain(findings::headline(findings).map(Finding::annotated))
        .collect()
}

/// Returns the audit log's annotations of these requests, by request. The API server writes them after it has
/// responded.
async fn annotations<'i>(
    control_plane: &ControlPlane,
    ids: impl Iterator<Item = &'i str> + Clone,
) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let is_complete = async || {
        let log = std::fs::read_to_string(control_plane.audit_log().unwrap()).unwrap();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = events
            .map(|mut event| (event["auditID"].as_str().unwrap().to_owned(), event["annotations"].take()))
            .collect();
        ids.clone().all(|id| found.contains_key(id))
    };
    assert!(wait::until_so(is_complete).await, "the audit log lacks requests");
    found
}

/// Runs `work` on every world, a few at a time, and returns the results in order.
async fn each<'w, F, T>(worlds: &'w [World], work: impl Fn(&'w World) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures::stream::iter(worlds).map(work).buffered(AT_ONCE).collect().await
}

async fn create_nodes(client: &Client, cases: &[Case]) {
    let mut known = BTreeSet::new();
    for node in cases.iter().flat_map(|case| &case.objects).filter(|object| object["kind"] == "Node") {
        if known.insert(node["metadata"]["name"].as_str().unwrap()) {
            api::create(client, node).await;
        }
    }
}

/// A case in namespaces of its own.
struct World {
    name: String,
    suffix: String,
    namespaces: BTreeSet<String>,
    objects: Vec<Value>,
    topologies: Vec<Value>,
    object: Value,
    old_object: Option<Value>,
    dry_run: bool,
    is_deletion: bool,
}

impl World {
    fn new(index: usize, case: &Case) -> Self {
        let suffix = format!("-{index}");
        let local = |object: &Value| renamed(object, &suffix);
        let objects: Vec<Value> =
            case.objects.iter().filter(|object| object["kind"] != "Node").map(local).collect();
        let object = local(&case.object);
        let topologies: Vec<Value> =
            case.topologies.iter().map(|topology| moved(topology, &suffix)).collect();
        let namespace = |object: &Value| object["metadata"]["namespace"].as_str().map(str::to_owned);
        Self {
            name: case.name.clone(),
            suffix: suffix.clone(),
            namespaces: objects.iter().chain([&object]).filter_map(namespace).collect(),
            objects,
            topologies,
            object,
            old_object: case.old_object.as_ref().map(local),
            dry_run: case.dry_run,
            is_deletion: case.operation == "DELETE",
        }
    }

    async fn create_objects(&self, client: &Client) {
        for name in &self.namespaces {
            api::create(client, &namespace(name)).await;
        }
        for object in &self.objects {
            let mut fresh = object.clone();
            let is_terminating =
                fresh["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
            api::create(client, &fresh).await;
            if !fresh["status"].is_null() {
                // The API server drops the status of a new object.
                let path = format!("{}/status", api::path_of(&fresh));
                let status = json!({"status": fresh["status"]});
                let answer =
                    api::call(client, Method::PATCH, &path, "application/merge-patch+json", &status).await;
                assert!(answer.status.is_success(), "`{}`: {}", self.name, answer.body);
            }
            if is_terminating {
                // The finalizer of the object keeps it, so it gets a `deletionTimestamp`.
                assert!(api::delete(client, &fresh).await.status.is_success());
            }
        }
    }

    async fn create_topologies(&self, client: &Client) {
        for topology in &self.topologies {
            api::create(client, topology).await;
        }
    }

    /// Sends the request of the case. Returns the outcome and the id of the request in the audit log.
    async fn judge(&self, client: &Client) -> (Outcome, String) {
        let answer = match &self.old_object {
            Some(old) if self.is_deletion => api::delete(client, old).await,
            None => api::post(client, &self.object, self.dry_run).await,
            Some(old) => api::change(client, old, &self.object).await,
        };
        let mut outcome = Outcome::default();
        for warning in answer.warnings.iter().filter(|warning| is_ours(warning)) {
            add_warning(&mut outcome, warning);
        }
        if answer.status.is_success() {
            outcome.edits =
                edits_between(&ruled(&self.object), &without_default(&self.object, ruled(&answer.body)));
            outcome.verdict = if outcome.edits.is_empty() { "allow" } else { "edit" }.to_owned();
            return (outcome, answer.audit_id);
        }
        let message = answer.body["message"].as_str().unwrap_or_default();
        let denial = message.split_once("lockstep.dev\" denied the request: ");
        let Some((_, denial)) = denial.filter(|_| answer.status == StatusCode::FORBIDDEN) else {
            panic!("`{}`: {} {message}", self.name, answer.status)
        };
        outcome.verdict = "deny".to_owned();
        outcome.texts.insert(findings::denied(denial));
        add_causes(&mut outcome, &answer.body);
        (outcome, answer.audit_id)
    }

    /// Returns the findings of the case with the names of this world and the API server's defaults.
    fn findings(&self, case: &Case) -> Vec<Finding> {
        let topologies: Vec<&str> =
            case.topologies.iter().map(|topology| topology["metadata"]["name"].as_str().unwrap()).collect();
        let local = |finding: &Finding| {
            let mut finding = finding.renamed(&self.suffix, &topologies);
            finding.message = finding
                .message
                .replace("externalTrafficPolicy is not set", "externalTrafficPolicy is `Cluster`");
            finding
        };
        case.findings.iter().map(local).collect()
    }
}

/// Adds the webhooks' audit annotations. Findings of severity Audit appear nowhere else.
fn add_annotations(outcome: &mut Outcome, findings: &[Finding], annotations: &Value) {
    let seen = ["mutate", "validate"].into_iter().filter_map(|webhook| {
        let text = |key: &str| annotations[format!("{webhook}.lockstep.dev/{key}")].as_str();
        text("reason")?;
        let texts = ["rule", "reason", "topology", "witness"].map(|key| text(key).unwrap_or_default());
        Some(findings::annotation(texts))
    });
    outcome.texts.extend(findings::annotations(findings, seen));
    // The annotations of a response have room for one finding. The other levels check that all are recorded.
    if let Some(headline) = findings::headline(findings).filter(|finding| finding.severity == "audit")
        && outcome.texts.contains(&headline.annotated())
    {
        findings.iter().for_each(|finding| outcome.add(&finding.severity, &finding.reason));
    }
}

/// Whether a warning is one of Lockstep's. The API server adds warnings of its own.
fn is_ours(warning: &str) -> bool {
    lockstep::verdict::Rule::ALL.iter().any(|rule| warning.starts_with(rule.id()))
}

fn renamed(object: &Value, suffix: &str) -> Value {
    let mut object = object.clone();
    let namespace = format!("{}{suffix}", object["metadata"]["namespace"].as_str().unwrap());
    object["metadata"]["namespace"] = namespace.into();
    let reserved = object.pointer_mut("/spec/serviceAllocation/namespaces").and_then(Value::as_array_mut);
    for namespace in reserved.into_iter().flatten() {
        *namespace = format!("{}{suffix}", namespace.as_str().unwrap()).into();
    }
    object
}

/// Returns the topology with a name and namespaces of its own.
fn moved(topology: &Value, suffix: &str) -> Value {
    let mut topology = topology.clone();
    let or = |value: &Value, default: &str| format!("{}{suffix}", value.as_str().unwrap_or(default));
    topology["metadata"]["name"] = or(&topology["metadata"]["name"], "").into();
    let spec = &mut topology["spec"];
    spec["metallbNamespace"] = or(&spec["metallbNamespace"], "metallb-system").into();
    spec["gateway"]["namespace"] = or(&spec["gateway"]["namespace"], "istio-system").into();
    for exception in spec.get_mut("exceptions").and_then(Value::as_array_mut).into_iter().flatten() {
        exception["namespace"] = or(&exception["namespace"], "").into();
    }
    topology
}

/// Returns the part of an object that rules edit.
fn ruled(object: &Value) -> Value {
    let mut spec = json!({});
    for field in ["nodeSelector", "externalTrafficPolicy"] {
        if let Some(value) = object["spec"].get(field) {
            spec[field] = value.clone();
        }
    }
    if let Some(template) = object["spec"]["template"].get("spec") {
        spec["template"] = ruled(&json!({"spec": template}));
    }
    json!({ "spec": spec })
}

/// Removes the policy if the user wrote none: the API server sets its default.
fn without_default(written: &Value, mut stored: Value) -> Value {
    let field = "externalTrafficPolicy";
    if written["spec"].get(field).is_none() && stored["spec"][field] == "Cluster" {
        stored["spec"].as_object_mut().unwrap().remove(field);
    }
    stored
}
