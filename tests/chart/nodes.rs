//! Nodes without kubelets, and the controllers of a cluster whose pods run because a task says so.

use std::sync::Arc;

use axum::http::Method;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{Controller, MetalLb, Options, helm, metallb_chart};
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::release::Cluster;
use lockstep_test_support::shell::{Shell, said};
use serde_json::{Value, json};

/// Nothing sends heartbeats, so nobody looks for them.
const CONTROLLERS: [&str; 10] = [
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
    "job-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "disruption-controller",
    "taint-eviction-controller",
];

/// MetalLB's own webhook has no endpoint that answers.
const METALLB_VALUES: &str = "--set speaker.frr.enabled=false,frrk8s.enabled=false,crds.validationFailurePolicy=Ignore,speaker.tolerateMaster=false";

/// A cluster with these nodes, each with whether it is a gateway node. Kubernetes' controllers run until the last value is dropped.
pub async fn start(nodes: &[(&str, bool)]) -> (Cluster, Client, Controller) {
    let options = Options::default()
        .api_server_arg("--enable-aggregator-routing=true")
        // Nothing would take the taints of new nodes away.
        .api_server_arg("--disable-admission-plugins=TaintNodesByCondition");
    let cluster = Cluster::start(options).await;
    let admin = cluster.client().await;
    for (name, is_gateway) in nodes {
        join(&admin, name, *is_gateway).await;
    }
    api::create(&admin, &objects::namespace("metallb-system")).await;
    let controllers = cluster.control_plane.start_controllers(&CONTROLLERS).await.unwrap();
    tokio::spawn(run_pods(admin.clone()));
    (cluster, admin, controllers)
}

/// A shell with Helm and with MetalLB's chart and its values in variables.
pub fn shell(cluster: &Cluster) -> Shell {
    Shell::on(&cluster.control_plane)
        .with("helm", &helm().unwrap())
        .with_variable("METALLB", metallb_chart(MetalLb::V0_15_2).unwrap())
        .with_variable("METALLB_VALUES", METALLB_VALUES)
}

/// Installs MetalLB by its chart.
pub async fn install_metallb(shell: &Arc<Shell>) {
    let script = "helm install metallb $METALLB -n metallb-system $METALLB_VALUES
        kubectl wait --for=condition=Established crd/l2advertisements.metallb.io crd/ipaddresspools.metallb.io --timeout=60s";
    run(shell, script).await.unwrap();
}

/// Runs a script. Returns all that it printed; an error if it fails.
pub async fn run(shell: &Arc<Shell>, script: &str) -> Result<String, String> {
    let (shell, script) = (Arc::clone(shell), script.to_owned());
    let output = tokio::task::spawn_blocking(move || shell.run(&script)).await.unwrap();
    if output.status.success() { Ok(said(&output)) } else { Err(said(&output)) }
}

/// Adds a node that is ready.
async fn join(admin: &Client, name: &str, is_gateway: bool) {
    let mut labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
    if is_gateway {
        labels[LABEL] = json!("arp");
    }
    let node = objects::node(name, &labels);
    api::create(admin, &node).await;
    let capacity = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
    let status = json!({"status": {"capacity": capacity, "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
    let path = format!("{}/status", api::path_of(&node));
    let answer = call(admin, Method::PATCH, &path, "application/merge-patch+json", &status).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

/// Says of every pod on a node that it runs, and of every pod that ends that it has ended, as kubelets do. Lockstep's own pods start
/// never: its replica is a process of the test.
async fn run_pods(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = watcher(pods, Config::default()).default_backoff().boxed();
    let mut started = 0_u16;
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else { continue };
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace().unwrap(), pod.name_any());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if pod.metadata.deletion_timestamp.is_some() {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": pod.uid()}});
            call(&client, Method::DELETE, &path, "application/json", &options).await;
        } else if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
            && phase == Some("Pending")
            && pod.namespace().as_deref() != Some(NAMESPACE)
        {
            started += 1;
            let [high, low] = started.to_be_bytes();
            // Nothing answers there, and a call fails at once.
            let address = format!("240.0.{high}.{low}");
            let is_job = pod.labels().contains_key("job-name");
            let ready = if is_job { "False" } else { "True" };
            let conditions: Vec<Value> = ["Initialized", "ContainersReady", "Ready"]
                .map(|kind| json!({"type": kind, "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}))
                .into();
            let status = json!({"status": {"phase": if is_job { "Succeeded" } else { "Running" },
                "podIP": address, "podIPs": [{"ip": address}], "startTime": "2026-01-01T00:00:00Z", "conditions": conditions}});
            let path = format!("{path}/status");
            call(&client, Method::PATCH, &path, "application/merge-patch+json", &status).await;
        }
    }
}
