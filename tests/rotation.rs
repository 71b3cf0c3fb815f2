//! Rotations of the certificate authority under load: three real replicas behind a balancer, called by a real API
//! server, with lifetimes cut to seconds. It takes some minutes, as twenty rotations do.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::{Client, CustomResourceExt};
use lockstep::topology::GatewayTopology;
use serde_json::{Value, json};
use support::api::{self, create};
use support::balancer::Balancer;
use support::control_plane::ControlPlane;
use support::https::get;
use support::serve::Serve;
use support::wait;
use tokio::time::MissedTickBehavior;

const REPLICAS: usize = 3;
const ROTATIONS: u64 = 20;
const NAMESPACE: &str = "lockstep-system";
const LABEL: &str = "loadbalancerIPs.metallb.io";

/// Two hundred a second, and more at once than the API server keeps connections open for: it keeps 25, so most of
/// them need a handshake, which is where certificates count.
const AT_ONCE: usize = 60;
const EVERY: Duration = Duration::from_millis(300);
const DELAY: Duration = Duration::from_millis(60);

/// No rotation takes this long: the CA would have expired.
const PATIENCE: Duration = Duration::from_secs(8 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_rotations_under_load_lose_no_admission() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let balancer = Balancer::start_with_delay([], DELAY).await;
    furnish(&control_plane, &client, &balancer.address).await;
    let replicas = join_all((0..REPLICAS).map(|_| replica(&control_plane))).await;
    for replica in &replicas {
        wait::until_ready(&replica.admin).await;
    }
    balancer.set(replicas.iter().map(|replica| replica.webhook.clone()));
    create(&client, &topology()).await;
    for replica in &replicas {
        wait::until_enforced(&replica.admin, 1).await;
    }

    let enough = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let load = tokio::spawn(load(client.clone(), Arc::clone(&enough)));
    let issuers = until_rotated(&replicas, started).await;
    enough.store(true, Ordering::Relaxed);
    let (admitted, failed) = load.await.unwrap();
    let seconds = started.elapsed().as_secs_f64();

    let connections = total(&replicas, "lockstep_connections_total").await;
    // Not `disconnect`: the API server gives a connection up, without a word, that it no longer needs.
    let mut refusals = Vec::new();
    for reason in ["alert", "protocol", "timeout", "caller"] {
        let series = format!("lockstep_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        refusals.push((reason, total(&replicas, &series).await));
    }
    let ended = total(&replicas, "lockstep_tls_handshakes_failed_total{reason=\"disconnect\"}").await;
    println!(
        "{admitted} admissions in {seconds:.0} s, {} issuers, {connections} handshakes, {} failed; handshakes refused: {refusals:?}, given up: {ended}",
        issuers.len(),
        failed.len()
    );
    assert_eq!(failed, BTreeSet::new());
    assert!(f64::from(u32::try_from(admitted).unwrap()) / seconds > 150.0, "{admitted} in {seconds} s");
    assert!(connections > admitted / 2, "{connections} connections prove too little about handshakes");
    assert!(u64::try_from(issuers.len()).unwrap() > ROTATIONS, "{issuers:?}");
    let said = said(replicas).await;
    for (reason, count) in refusals {
        assert_eq!(count, 0, "handshakes failed for the reason `{reason}`:\n{}", said.join("\n"));
    }
}

async fn furnish(control_plane: &ControlPlane, client: &Client, balancer: &str) {
    let crd = serde_json::to_string(&GatewayTopology::crd()).unwrap();
    control_plane.install_crd(GatewayTopology::crd_name(), &crd).await.unwrap();
    for name in [NAMESPACE, "istio-system", "metallb-system"] {
        create(client, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }
    create(
        client,
        &json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "lockstep-ca", "namespace": NAMESPACE},
        }),
    )
    .await;
    // An API server that is not inside the cluster network dials such a Service by the name that it stands for. All
    // else is as with any Service: HTTP/1.1, and a certificate for the Service's name.
    create(
        client,
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "lockstep", "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }),
    )
    .await;
    let port: u16 = balancer.rsplit(':').next().unwrap().parse().unwrap();
    for (kind, path) in
        [("MutatingWebhookConfiguration", "/mutate"), ("ValidatingWebhookConfiguration", "/validate")]
    {
        create(client, &configuration(kind, path, port)).await;
    }
}

/// Registered for pods alone: that MetalLB's kinds are not installed does not matter to them.
fn configuration(kind: &str, path: &str, port: u16) -> Value {
    let service = json!({"namespace": NAMESPACE, "name": "lockstep", "path": path, "port": port});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "lockstep"},
        "webhooks": [{
            "name": "pods.lockstep.dev",
            "clientConfig": {"service": service},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
        }],
    })
}

fn topology() -> Value {
    json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
        "metadata": {"name": "istio-ingressgateway"}, "spec": {},
    })
}

fn gateway_pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "istio-system",
            "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
        },
        "spec": {"containers": [{"name": "istio-proxy", "image": "istio/proxyv2"}]},
    })
}

async fn replica(control_plane: &ControlPlane) -> Serve {
    let secret = format!("{NAMESPACE}/lockstep-ca");
    let arguments = [
        "--tls-secret",
        &secret,
        "--webhook-configuration",
        "lockstep",
        "--tls-name",
        "lockstep.lockstep-system.svc",
        "--ca-lifetime",
        "10",
        "--leaf-lifetime",
        "4",
        "--ca-propagation",
        "1",
        "--drain",
        "0",
        "--log-level",
        "info,lockstep::server=debug",
    ];
    Serve::start(&arguments, Some(control_plane.kubeconfig_path())).await
}

/// Creates pods without storing them, and says how many were admitted with the placement, and why others were not.
async fn load(client: Client, enough: Arc<AtomicBool>) -> (u64, BTreeSet<String>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (admitted, mut failed) = (AtomicU64::new(0), BTreeSet::new());
    while !enough.load(Ordering::Relaxed) {
        ticks.tick().await;
        let burst = (0..AT_ONCE).map(|index| {
            let (client, admitted) = (&client, &admitted);
            async move {
                let answer = api::post(client, &gateway_pod(&format!("pod-{index}")), true).await;
                if answer.status.is_success() && answer.body["spec"]["nodeSelector"][LABEL] == "arp" {
                    admitted.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Some(format!("{} {}", answer.status, answer.body["message"]))
            }
        });
        failed.extend(join_all(burst).await.into_iter().flatten());
    }
    (admitted.into_inner(), failed)
}

/// Waits for the rotations, and says which CAs were seen at work.
async fn until_rotated(replicas: &[Serve], started: Instant) -> BTreeSet<String> {
    let mut issuers = BTreeSet::new();
    while total(replicas, "lockstep_ca_rotations_total").await < ROTATIONS {
        assert!(started.elapsed() < PATIENCE, "rotations take too long: {issuers:?}");
        issuers.extend(issuers_of(replicas).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The last one is over when every replica serves a leaf of it.
    loop {
        let now: BTreeSet<String> = issuers_of(replicas).await.into_iter().collect();
        issuers.extend(now.iter().cloned());
        if now.len() == 1 && issuers.len() > usize::try_from(ROTATIONS).unwrap() {
            return issuers;
        }
        assert!(started.elapsed() < PATIENCE, "the last rotation does not end: {issuers:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the replicas said about certificates and handshakes, in the order of time.
async fn said(replicas: Vec<Serve>) -> Vec<String> {
    let mut said = Vec::new();
    for mut replica in replicas {
        replica.signal("TERM");
        said.extend(replica.ended().await.1);
    }
    said.retain(|line| ["CA", "certificate", "handshake"].iter().any(|word| line.contains(word)));
    said.sort_unstable();
    said
}

async fn issuers_of(replicas: &[Serve]) -> Vec<String> {
    let mut issuers = Vec::new();
    for replica in replicas {
        let (_, metrics) = get(&replica.admin, "/metrics").await;
        let series = metrics.lines().find(|line| line.starts_with("lockstep_tls_issuer_info{"));
        issuers.extend(series.map(str::to_owned));
    }
    issuers
}

async fn total(replicas: &[Serve], series: &str) -> u64 {
    let mut total = 0;
    for replica in replicas {
        let (_, metrics) = get(&replica.admin, "/metrics").await;
        let lines = metrics.lines().filter(|line| line.starts_with(series));
        total += lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>();
    }
    total
}
