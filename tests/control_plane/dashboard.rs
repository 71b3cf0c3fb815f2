//! `lockstep dashboard` on a real API server: it follows every change, and says when it cannot.

use std::path::Path;
use std::time::Instant;

use lockstep_test_support::api::path_of;
use lockstep_test_support::control_plane::MetalLb;
use lockstep_test_support::dashboard::Dashboard;
use lockstep_test_support::state::{patch, put, stored_objects};
use serde_json::json;

use super::states::start;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_follows_a_relabel_and_says_since_when_the_cluster_cannot_be_read() {
    let (mut control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let state = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml");
    let objects = stored_objects(&state);
    put(&client, &objects).await;
    let dashboard = Dashboard::start(control_plane.kubeconfig_path(), &[]).await;
    let mut events = dashboard.events().await.unwrap();
    let preserved = events.until("PRESERVED").await;
    assert_eq!(preserved["verdict"], "The client's source IP survives at 10.6.229.180");
    assert!(preserved["origin"].as_str().unwrap().contains("from the cluster, read at "));

    let nodes = objects.iter().filter(|object| object["kind"] == "Node");
    let labelled: Vec<String> = nodes
        .filter(|node| node["metadata"]["labels"]["loadbalancerIPs.metallb.io"] == "arp")
        .map(path_of)
        .collect();
    let label = |value| json!({"metadata": {"labels": {"loadbalancerIPs.metallb.io": value}}});
    let asked = Instant::now();
    for node in &labelled {
        patch(&client, node, &label(None)).await;
    }
    let silent = events.until("SILENT").await;
    println!("the page followed a relabel in {} ms", asked.elapsed().as_millis());
    assert_eq!(silent["verdict"], "No node announces 10.6.229.180");

    // The last state stays, and nothing of the page says that it is the present one.
    control_plane.kill_api_server().await.unwrap();
    let outage = events.until("The cluster cannot be read since ").await;
    assert_eq!(outage["verdict"], "Not current: No node announces 10.6.229.180");
    assert!(outage["main"].as_str().unwrap().contains("What follows is the state of "), "{outage}");
    let page = dashboard.get(&dashboard.path).await.body;
    assert!(page.contains("The cluster cannot be read since ") && page.contains("Not current: "), "{page}");

    control_plane.start_api_server().await.unwrap();
    let client = control_plane.client().await.unwrap();
    for node in &labelled {
        patch(&client, node, &label(Some("arp"))).await;
    }
    let back = events.until("PRESERVED").await;
    assert_eq!(back["verdict"], "The client's source IP survives at 10.6.229.180");
    assert!(!back["main"].as_str().unwrap().contains("cannot be read"), "{back}");
    assert_eq!(dashboard.interrupt().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_limits_the_page_and_one_that_is_not_there_is_said() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state/announced-by-bgp-alone.yaml");
    put(&client, &stored_objects(&state)).await;
    let none = Dashboard::start(control_plane.kubeconfig_path(), &["10.6.229.181"]).await;
    let event = none.events().await.unwrap().until("There is nothing to explain").await;
    assert!(
        event["main"].as_str().unwrap().contains("no topology, Service or address <code>10.6.229.181</code>")
    );
    let one =
        Dashboard::start(control_plane.kubeconfig_path(), &["istio-ingressgateway", "-n", "istio-system"])
            .await;
    one.events().await.unwrap().until("PRESERVED").await;
}
