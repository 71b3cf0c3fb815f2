//! `lockstep dashboard` in a browser, beside a real API server.

use std::time::Instant;

use kube::Client;
use lockstep_test_support::api::{create, path_of};
use lockstep_test_support::browser::{Browser, Screen};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::dashboard::Dashboard;
use lockstep_test_support::state::{patch, put, stored_objects};
use lockstep_test_support::{objects, root};
use serde_json::{Value, json};

use super::picture;

/// A control plane with the objects of a state in which the client's address survives.
async fn start() -> (ControlPlane, Client, Vec<Value>) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &objects::namespace(name)).await;
    }
    let state = root().join("tests/cases/state/the-gateway-survives-drains-and-rollouts.yaml");
    let stored = stored_objects(&state);
    put(&client, &stored).await;
    (control_plane, client, stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_follows_a_relabel_by_itself_and_says_when_it_is_not_current() {
    let (control_plane, client, stored) = start().await;
    let dashboard = Dashboard::start(control_plane.kubeconfig_path(), &[]).await;
    let url = dashboard.url.clone();
    let mut browser = Browser::start().await;

    for screen in [Screen::DARK, Screen::NARROW, Screen::PRINT, Screen::LIGHT] {
        browser.open(&url, screen).await;
        browser.until("h1", "The client's source IP survives at 10.6.229.180").await;
        browser.assert_fits_and_is_accessible(&format!("live-{}", screen.name)).await;
    }

    // What the reader opened stays open when the state changes.
    let others = "details[id$=other] > summary";
    assert_eq!(browser.run("press", json!({"selector": others, "key": "Enter"})).await, json!(true));
    let nodes = stored.iter().filter(|object| object["kind"] == "Node");
    let labelled: Vec<String> = nodes
        .filter(|node| node["metadata"]["labels"]["loadbalancerIPs.metallb.io"] == "arp")
        .map(path_of)
        .collect();
    let asked = Instant::now();
    for node in &labelled {
        patch(&client, node, &json!({"metadata": {"labels": {"loadbalancerIPs.metallb.io": null}}})).await;
    }
    browser.until("h1", "No node announces 10.6.229.180").await;
    println!("the live page followed a relabel in {} ms", asked.elapsed().as_millis());
    browser.until("details[id$=other][open] > summary", "1 other node").await;
    assert_eq!(browser.text("#said").await, "No node announces 10.6.229.180");
    browser.assert_fits_and_is_accessible("live-silent").await;
    browser.screenshot(&picture("live-silent.png")).await;

    control_plane.kill_api_server().await.unwrap();
    browser.until(".banner", "The cluster cannot be read since ").await;
    browser.until(".verdict.unknown h1", "Not current: No node announces 10.6.229.180").await;
    browser.assert_fits_and_is_accessible("live-outage").await;
    browser.screenshot(&picture("live-outage.png")).await;

    let noticed = browser.run("noticed", json!({})).await;
    assert_eq!(noticed["messages"], json!([]));
    let requests = noticed["requests"].as_array().unwrap();
    let is_own =
        |request: &str| request == url || request == format!("{url}events") || request.starts_with("data:");
    assert!(requests.iter().all(|request| is_own(request.as_str().unwrap())), "{noticed}");

    assert_eq!(dashboard.interrupt().await.code(), Some(0));
    browser.until("#gone", "The dashboard does not answer.").await;
    browser.assert_fits_and_is_accessible("live-gone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_the_page_shows_the_state_and_a_link_that_loads_it_again() {
    let (control_plane, _, _) = start().await;
    let dashboard = Dashboard::start(control_plane.kubeconfig_path(), &[]).await;
    dashboard.events().await.unwrap().until("PRESERVED").await;
    let mut browser = Browser::start().await;
    browser.open(&dashboard.url, Screen::WITHOUT_SCRIPT).await;
    browser.until("h1", "The client's source IP survives at 10.6.229.180").await;
    browser.until("noscript a", "Load it again").await;
}
