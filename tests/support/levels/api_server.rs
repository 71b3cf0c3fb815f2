//! A real kube-apiserver with MetalLB's real CRDs, and `lockstep serve` as its webhook.
//!
//! Every case gets namespaces and topologies of its own, so that all of them share one API server.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use futures::StreamExt;
use kube::{Client, CustomResourceExt};
use lockstep::topology::GatewayTopology;
use serde_json::{Value, json};

use super::super::api;
use super::super::case::{Case, Outcome};
use super::super::control_plane::{ControlPlane, MetalLb};
use super::super::serve::Serve;
use super::super::wait;

const AT_ONCE: usize = 8;

/// Runs all cases; the outcomes come in the order of the cases.
pub async fn judge_all(cases: &[Case], metallb: MetalLb) -> Vec<Outcome> {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_metallb(metallb).await.unwrap();
    let crd = serde_json::to_string(&GatewayTopology::crd()).unwrap();
    control_plane.install_crd("gatewaytopologies.lockstep.dev", &crd).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    wait::until_ready(&serve.admin).await;
    api::register(&client, &serve.webhook.replace("127.0.0.1", "localhost"), &serve.ca_pem).await;

    // Worlds first and topologies last: what violates a rule must be there before the rule is.
    let worlds: Vec<World> = cases.iter().enumerate().map(|(index, case)| World::new(index, case)).collect();
    create_nodes(&client, cases).await;
    each(&worlds, |world| world.create_objects(&client)).await;
    each(&worlds, |world| world.create_topologies(&client)).await;
    let topologies = worlds.iter().map(|world| world.topologies.len()).sum();
    wait::until_enforced(&serve.admin, topologies).await;

    each(&worlds, |world| world.judge(&client)).await
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
    namespaces: BTreeSet<String>,
    objects: Vec<Value>,
    topologies: Vec<Value>,
    object: Value,
    old_object: Option<Value>,
    dry_run: bool,
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
            namespaces: objects.iter().chain([&object]).filter_map(namespace).collect(),
            objects,
            topologies,
            object,
            old_object: case.old_object.as_ref().map(local),
            dry_run: case.dry_run,
        }
    }

    async fn create_objects(&self, client: &Client) {
        for namespace in &self.namespaces {
            api::create(
                client,
                &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            )
            .await;
        }
        for object in &self.objects {
            let mut fresh = object.clone();
            let is_terminating =
                fresh["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
            api::create(client, &fresh).await;
            if is_terminating {
                // Its finalizer keeps it; that is what gives it a deletionTimestamp.
                assert!(api::delete(client, &fresh).await.status.is_success());
            }
        }
    }

    async fn create_topologies(&self, client: &Client) {
        for topology in &self.topologies {
            api::create(client, topology).await;
        }
    }

    async fn judge(&self, client: &Client) -> Outcome {
        let answer = match &self.old_object {
            None => api::post(client, &self.object, self.dry_run).await,
            Some(old) => api::change(client, old, &self.object).await,
        };
        let ours = answer.warnings.iter().filter(|warning| is_ours(warning));
        let mut outcome = Outcome {
            warnings: ours.map(|warning| super::https::reason_of(warning)).collect(),
            ..Outcome::default()
        };
        if answer.status.is_success() {
            outcome.edits = super::edits_between(
                &ruled(&self.object),
                &without_default(&self.object, ruled(&answer.body)),
            );
            outcome.verdict = if outcome.edits.is_empty() { "allow" } else { "edit" }.to_owned();
            return outcome;
        }
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(
            answer.status == StatusCode::FORBIDDEN && message.contains("lockstep.dev\" denied the request: "),
            "`{}`: {} {message}",
            self.name,
            answer.status
        );
        outcome.verdict = "deny".to_owned();
        for cause in answer.body["details"]["causes"].as_array().unwrap() {
            outcome.denials.insert(cause["reason"].as_str().unwrap().to_owned());
        }
        outcome
    }
}

/// Whether a warning is Lockstep's: the API server has some of its own.
fn is_ours(warning: &str) -> bool {
    lockstep::verdict::Rule::ALL.iter().any(|rule| warning.starts_with(rule.id()))
}

fn renamed(object: &Value, suffix: &str) -> Value {
    let mut object = object.clone();
    let namespace = format!("{}{suffix}", object["metadata"]["namespace"].as_str().unwrap());
    object["metadata"]["namespace"] = namespace.into();
    object
}

/// The topology under a name of its own, for namespaces of its own.
fn moved(topology: &Value, suffix: &str) -> Value {
    let mut topology = topology.clone();
    let or = |value: &Value, default: &str| format!("{}{suffix}", value.as_str().unwrap_or(default));
    topology["metadata"]["name"] = or(&topology["metadata"]["name"], "").into();
    let spec = &mut topology["spec"];
    spec["metallbNamespace"] = or(&spec["metallbNamespace"], "metallb-system").into();
    spec["gateway"]["namespace"] = or(&spec["gateway"]["namespace"], "istio-system").into();
    topology
}

/// The part of an object that rules edit.
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

/// Without the policy that the API server itself sets where the user wrote none.
fn without_default(written: &Value, mut stored: Value) -> Value {
    let field = "externalTrafficPolicy";
    if written["spec"].get(field).is_none() && stored["spec"][field] == "Cluster" {
        stored["spec"].as_object_mut().unwrap().remove(field);
    }
    stored
}
