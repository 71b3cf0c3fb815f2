//! The everyday acts of `tests/acts`: what people, their tools and the controllers do to a cluster with a gateway. Lockstep must be
//! in the way of none, where all is well and where all is wrong since before it was installed.
//!
//! Kubernetes' controllers, its scheduler and MetalLB's controller are real. No kubelet runs: a task here says that pods run.
//! `LOCKSTEP_ACTS=TEXT` leaves out the acts whose title does not contain the text.

use std::sync::Arc;

use lockstep_test_support::api;
use lockstep_test_support::control_plane::Controller;
use lockstep_test_support::helm::chart;
use lockstep_test_support::objects;
use lockstep_test_support::release::Cluster;
use lockstep_test_support::root;
use lockstep_test_support::shell::Shell;
use lockstep_test_support::wait;
use serde::Deserialize;

use crate::nodes::{self, run};
use crate::replica::Replica;

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
        let nodes = [("n1", true), ("n2", true), ("n3", false), ("n4", false)];
        let (cluster, admin, controllers) = nodes::start(&nodes).await;
        let mut controllers = vec![controllers];
        let shell = Arc::new(shell(&cluster, is_right));
        api::create(&admin, &objects::namespace("istio-system")).await;
        nodes::install_metallb(&shell).await;
        let right = "--set nodeSelector.loadbalancerIPs\\\\.metallb\\\\.io=arp,externalTrafficPolicy=Local";
        let script = format!(
            "until kubectl apply -f first-pool.yaml; do sleep 1; done
             helm install istio-ingressgateway $GATEWAY -n istio-system {}",
            if is_right { right } else { "" }
        );
        run(&shell, &script).await.unwrap();
        controllers.extend(cluster.control_plane.start_scheduler_and_metallb().await.unwrap());
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

/// A shell with the charts and manifests that the scripts use.
fn shell(cluster: &Cluster, is_right: bool) -> Shell {
    let shell = nodes::shell(cluster);
    let right = format!("{POOL}{OF_GATEWAY_NODES}");
    std::fs::write(shell.folder().join("first-pool.yaml"), if is_right { &right } else { POOL }).unwrap();
    let pool = shell.folder().join("pool.yaml");
    std::fs::write(&pool, &right).unwrap();
    shell
        .with_variable("GATEWAY", root().join("tests/acts/gateway"))
        .with_variable("LOCKSTEP", chart(""))
        .with_variable("POOL", pool)
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
