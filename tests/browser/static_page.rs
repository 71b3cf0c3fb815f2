//! `lockstep explain -o html`: one file, opened from the disk.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_test_support::browser::{Browser, Screen};
use lockstep_test_support::root;
use serde_json::json;

use super::picture;

/// A page in a file of its own.
struct Page {
    name: &'static str,
    path: PathBuf,
    title: &'static str,
}

impl Page {
    fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

fn state(name: &str) -> String {
    fs::read_to_string(root().join("tests/cases/state").join(format!("{name}.yaml"))).unwrap()
}

fn write(folder: &Path, name: &'static str, state: &str, arguments: &[&str], title: &'static str) -> Page {
    let input = folder.join(format!("{name}.yaml"));
    fs::write(&input, state).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.args(["explain", "-o", "html", "-f"]).arg(&input).args(arguments).output().unwrap();
    let path = folder.join(format!("{name}.html"));
    fs::write(&path, output.stdout).unwrap();
    Page { name, path, title }
}

/// A page for each kind of verdict, one about a large cluster, and one with names as long as Kubernetes allows.
fn pages(folder: &Path) -> Vec<Page> {
    let survives = state("the-gateway-survives-drains-and-rollouts");
    let mut large = state("the-pod-runs-on-a-node-that-nothing-selects");
    for number in 0..600 {
        let labels = if number < 30 { "{loadbalancerIPs.metallb.io: arp}" } else { "{}" };
        let name = format!("worker-{number:03}.rack-{:02}.fra1.example.org", number % 20);
        writeln!(large, "---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {labels}}}}}")
            .unwrap();
    }
    let long = "n".repeat(60);
    let long = format!("{long}.{long}.{long}.{long}.example");
    vec![
        write(
            folder,
            "preserved",
            &survives,
            &[],
            "The client's source IP survives at 10.6.229.180 - Lockstep",
        ),
        write(
            folder,
            "silent",
            &state("the-last-advertisement-is-gone"),
            &[],
            "No node announces 10.6.229.180 - Lockstep",
        ),
        write(
            folder,
            "lost",
            &state("the-policy-is-cluster"),
            &[],
            "The client's source IP is lost at 10.6.229.180 - Lockstep",
        ),
        write(folder, "large", &large, &[], "No node announces 10.6.229.180 - Lockstep"),
        write(
            folder,
            "long-names",
            &survives.replace("n1", &long),
            &["--fail-node", "n2"],
            "The client's source IP survives at 10.6.229.180, and one step ends that - Lockstep",
        ),
    ]
}

#[tokio::test]
async fn every_page_fits_and_is_accessible_in_light_dark_print_and_at_320_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    for page in pages(folder.path()) {
        for screen in [Screen::LIGHT, Screen::DARK, Screen::PRINT, Screen::NARROW] {
            let what = format!("{}-{}", page.name, screen.name);
            assert_eq!(browser.open(&page.url(), screen).await, page.title, "{what}");
            browser.assert_fits_and_is_accessible(&what).await;
            browser.screenshot(&picture(&format!("{what}.png"))).await;
            // It asks for nothing but itself, and its own policy lets all of it pass.
            let noticed = browser.run("noticed", json!({})).await;
            let requests = noticed["requests"].as_array().unwrap();
            assert!(requests.iter().all(|url| *url == page.url().as_str()), "{what}: {noticed}");
            assert_eq!(noticed["messages"], json!([]), "{what}");
        }
        browser.open(&page.url(), Screen { width: 1280, ..Screen::PRINT }).await;
        let path = picture(&format!("{}.pdf", page.name));
        browser.run("pdf", json!({"path": path})).await;
        assert!(fs::read(&path).unwrap().starts_with(b"%PDF-"));
        if page.name == "lost" && std::env::var_os("LOCKSTEP_BLESS").is_some() {
            browser.open(&page.url(), Screen { width: 1000, ..Screen::LIGHT }).await;
            browser.run("screenshot", json!({"path": root().join("docs/page.png"), "whole": false})).await;
        }
    }
}

#[tokio::test]
async fn the_keyboard_reaches_every_group_of_nodes_and_every_command_and_shows_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    for page in pages(folder.path()) {
        for screen in [Screen::LIGHT, Screen::NARROW] {
            browser.open(&page.url(), screen).await;
            let tab = browser.run("tab", json!({})).await;
            assert_eq!(tab["reached"], tab["expected"], "{}", page.name);
            assert_eq!(tab["hidden"], json!([]), "{}", page.name);
            assert!(tab["expected"].as_array().unwrap().len() > 2, "{}: {tab}", page.name);
        }
    }
    let page = &pages(folder.path())[1];
    browser.open(&page.url(), Screen::LIGHT).await;
    let is_open = browser.run("press", json!({"selector": "summary", "key": "Enter"})).await;
    assert_eq!(is_open, json!(false));
    assert_eq!(browser.run("press", json!({"selector": "summary", "key": "Enter"})).await, json!(true));
}

#[tokio::test]
async fn one_click_selects_a_whole_command_as_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    let page = &pages(folder.path())[1];
    for screen in [Screen::LIGHT, Screen::NARROW] {
        browser.open(&page.url(), screen).await;
        let selected = browser.run("click", json!({"selector": "pre.copy"})).await;
        let selected = selected.as_str().unwrap();
        assert!(selected.starts_with("printf '%s' '{\"apiVersion\":\"metallb.io/v1beta1\""), "{selected}");
        assert!(selected.ends_with(" | kubectl create -f -") && !selected.contains('\n'), "{selected}");
    }
}

#[tokio::test]
async fn a_narrow_screen_and_a_screen_reader_get_the_map_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    let page = &pages(folder.path())[0];
    browser.open(&page.url(), Screen::NARROW).await;
    browser.until("ol.path li", "announces by layer 2").await;
    let words = browser.text("ol.path").await;
    for step in
        ["Client", "PRESERVED", "takes over next", "1 ready pod", "Service istio-system/istio-ingressgateway"]
    {
        assert!(words.contains(step), "{step}: {words}");
    }
}
