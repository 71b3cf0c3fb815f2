//! The everyday acts of `tests/acts`: what people, their tools and the controllers do to a cluster with a gateway. Lockstep must be
//! in the way of none, where all is well and where all is wrong since before it was installed.
//!
//! Kubernetes' controllers, its scheduler and MetalLB's controller are real. No kubelet runs: a task here says that pods run.
//! `LOCKSTEP_ACTS=TEXT` leaves out the acts whose title does not contain the text.

use std::sync::Arc;

use axum::http::Method;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{ControlPlane, Controller, MetalLb, Options, helm, metallb_chart};
use lockstep_test_support::helm::{NAMESPACE, chart};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::release::Cluster;
use lockstep_test_support::root;
use lockstep_test_support::shell::{Shell, said};
use lockstep_test_support::wait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::replica::Replica;

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

const POOL: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: default-pool, namespace: metallb-system}
spec: {addresses: [192.0.2.0/28]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: gateway, namespace: metallb-system}
spec:
  ipAddressPools: [default-pool]
";

const OF_GATEWAY_NODES: &str = "  nodeSelectors: [{matchLabels: {loadbalancerIPs.metallb.io: arp}}]\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    act: String,
    run: String,
}

fn acts() -> Vec<Act> {
    let text = std::fs::read_to_string(root().join("tests/acts/acts.yaml")).unwrap();
    let only = std::env::var("LOCKSTEP_ACTS").unwrap_or_default();
    let mut acts: Vec<Act> = serde_saphyr::from_str(&text).unwrap();
    assert!(acts.len() >= 60, "{} acts", acts.len());
    acts.retain(|act| act.act.contains(&only));
    acts
}

/// A cluster with MetalLB and the gateway, and Lockstep in it.
struct House {
    shell: Arc<Shell>,
    _cluster: Cluster,
    _controllers: Vec<Controller>,
    _replica: Replica,
}

impl House {
    /// Starts it; MetalLB and the gateway are there before Lockstep is. If `is_right`, they are as Lockstep wants them.
    async fn start(is_right: bool) -> Self {
        let options = Options::default()
            .api_server_arg("--enable-aggregator-routing=true")
            // Nothing would take the taints of new nodes away.
            .api_server_arg("--disable-admission-plugins=TaintNodesByCondition");
        let cluster = Cluster::start(options).await;
        let admin = cluster.client().await;
        let control_plane = &cluster.control_plane;
        let shell = Arc::new(shell(control_plane, is_right));
        for name in ["n1", "n2", "n3", "n4"] {
            join(&admin, name, !["n3", "n4"].contains(&name)).await;
        }
        for name in ["istio-system", "metallb-system"] {
            api::create(&admin, &objects::namespace(name)).await;
        }
        let mut controllers = vec![control_plane.start_controllers(&CONTROLLERS).await.unwrap()];
        tokio::spawn(run_pods(admin.clone()));
        let right = "--set nodeSelector.loadbalancerIPs\\\\.metallb\\\\.io=arp,externalTrafficPolicy=Local";
        let script = format!(
            "helm install metallb $METALLB -n metallb-system $METALLB_VALUES
             kubectl wait --for=condition=Established crd/l2advertisements.metallb.io crd/ipaddresspools.metallb.io --timeout=60s
             until kubectl apply -f first-pool.yaml; do sleep 1; done
             helm install istio-ingressgateway $GATEWAY -n istio-system {}",
            if is_right { right } else { "" }
        );
        run(&shell, &script).await.unwrap();
        controllers.extend(control_plane.start_scheduler_and_metallb().await.unwrap());
        let script = "kubectl -n istio-system rollout status deployment/istio-ingressgateway --timeout=60s
             kubectl -n istio-system wait --for=jsonpath='{.status.loadBalancer.ingress}' service/istio-ingressgateway --timeout=60s";
        run(&shell, script).await.unwrap();

        cluster.install(&[]);
        let replica = Replica::start(&cluster, &admin).await;
        wait::until_enforced(&replica.serve.admin, 1).await;
        let wide = objects::wide_advertisement("everywhere");
        let is_guarded =
            wait::until_so(async || !api::post(&admin, &wide, true).await.status.is_success()).await;
        assert!(is_guarded, "nothing is enforced, so nothing could be in the way");
        Self { shell, _cluster: cluster, _controllers: controllers, _replica: replica }
    }
}

/// A shell with Helm, and the charts and manifests that the scripts use.
fn shell(control_plane: &ControlPlane, is_right: bool) -> Shell {
    let shell = Shell::on(control_plane).with("helm", &helm().unwrap());
    let right = format!("{POOL}{OF_GATEWAY_NODES}");
    std::fs::write(shell.folder().join("first-pool.yaml"), if is_right { &right } else { POOL }).unwrap();
    let pool = shell.folder().join("pool.yaml");
    std::fs::write(&pool, &right).unwrap();
    shell
        .with_variable("GATEWAY", root().join("tests/acts/gateway"))
        .with_variable("LOCKSTEP", chart(""))
        .with_variable("METALLB", metallb_chart(MetalLb::V0_15_2).unwrap())
        .with_variable("METALLB_VALUES", METALLB_VALUES)
        .with_variable("POOL", pool)
}

/// Runs a script. Returns all that it printed if it fails.
async fn run(shell: &Arc<Shell>, script: &str) -> Result<(), String> {
    let (shell, script) = (Arc::clone(shell), script.to_owned());
    let output = tokio::task::spawn_blocking(move || shell.run(&script)).await.unwrap();
    if output.status.success() { Ok(()) } else { Err(said(&output)) }
}

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

/// Does every act. Returns those that failed, with what was printed.
async fn failures(is_right: bool) -> Vec<String> {
    let house = House::start(is_right).await;
    let mut failures = Vec::new();
    for Act { act, run: script } in acts() {
        let started = std::time::Instant::now();
        if let Err(said) = run(&house.shell, &script).await {
            failures.push(format!("{act}:\n{said}"));
        }
        println!("{act}: {:.1} s", started.elapsed().as_secs_f64());
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_everyday_act_is_blocked_where_all_is_well() {
    let failures = failures(true).await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_everyday_act_is_blocked_where_all_is_wrong_since_before() {
    let failures = failures(false).await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
