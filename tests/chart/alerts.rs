//! Alerts ask for metrics that the program really has.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::helm::{Helm, the};
use crate::support::control_plane::ControlPlane;
use crate::support::https::{Connection, trusting};
use crate::support::serve::Serve;
use crate::support::wait;

/// The words of an expression that are names of metrics, without what counters and histograms add to them.
fn metrics(expression: &str) -> BTreeSet<String> {
    expression
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("lockstep_"))
        .map(|word| word.trim_end_matches("_total").to_owned())
        .collect()
}

/// The rules of the rendered PrometheusRule.
fn rules() -> Vec<Value> {
    let rendered = the("PrometheusRule", &Helm::offline().render("ha", &[]));
    rendered["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_in_an_alert_is_exported() {
    let control_plane = ControlPlane::start().await.unwrap();
    let serve = Serve::on_cluster(control_plane.kubeconfig_path()).await;
    // Families without a series are not shown: this one begins with the first review that cannot be read.
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    connection.post("/validate", "{").await;
    let crd = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/lockstep/crds/gatewaytopologies.yaml");
    let crd = std::fs::read_to_string(crd).unwrap();
    control_plane.install_crd("gatewaytopologies.lockstep.dev", &crd).await.unwrap();
    wait::until_ready(&serve.admin).await;
    let exported = wait::until(&serve.admin, "/metrics", |_, text| text.contains("lockstep_objects{")).await;
    for rule in rules() {
        for metric in metrics(rule["expr"].as_str().unwrap()) {
            assert!(exported.contains(&format!("# TYPE {metric} ")), "{rule}: no `{metric}` in\n{exported}");
        }
    }
    for label in [
        "kind=\"GatewayTopology\"",
        "kind=\"Node\"",
        "reason=\"busy\"",
        "reason=\"memory\"",
        "reason=\"alert\"",
        "result=\"failed\"",
    ] {
        assert!(exported.contains(label), "no series has `{label}`");
    }
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let rules = rules();
    assert!(rules.len() > 8, "{rules:?}");
    for rule in rules {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{rule}");
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap();
            assert!(text.ends_with('.'), "{rule}");
        }
    }
}
