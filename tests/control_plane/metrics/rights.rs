//! The alerts on a replica without the permissions that it needs.

use std::path::{Path, PathBuf};

use kube::Client;
use serde_json::{Value, json};

use super::cluster::topology;
use super::course::{Alert, Course, POD};
use super::page::Page;
use lockstep_test_support::api::create;
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::objects::namespace;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

const PASSES: &str = "lockstep_ca_passes_total";
const NAMESPACE: &str = "lockstep-system";

/// Returns a ClusterRole with these rules, and a binding of it to `alice`.
pub fn role(name: &str, rules: &Value) -> [Value; 2] {
    let api = "rbac.authorization.k8s.io";
    [
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules,
        }),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": api, "kind": "User", "name": "alice"}],
        }),
    ]
}

/// Writes the kubeconfig of `alice` into a folder, and returns its path.
pub fn of_alice(control_plane: &ControlPlane, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(control_plane.kubeconfig_path()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["current-context"] = json!("alice");
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Returns the metrics of a replica that may read neither its Secret nor the objects that topologies depend on: after
/// two failed CA passes, after three, and after all permissions are granted.
pub async fn missing(control_plane: &ControlPlane, client: &Client) -> [Page; 3] {
    let seeing = json!([{
        "apiGroups": ["", "lockstep.dev"], "resources": ["nodes", "gatewaytopologies"], "verbs": ["list", "watch"],
    }]);
    for object in &role("seeing", &seeing) {
        create(client, object).await;
    }
    create(client, &topology(&json!({}))).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = of_alice(control_plane, folder.path());
    let secret = format!("{NAMESPACE}/lockstep-ca");
    let decisions = folder.path().join("decisions").to_str().unwrap().to_owned();
    let arguments = [
        "--tls-secret",
        &secret,
        "--webhook-configuration",
        "lockstep",
        "--tls-name",
        "localhost",
        "--audit-log",
        &decisions,
    ];
    let serve = Serve::start(&arguments, Some(&kubeconfig)).await;
    wait::until(&serve.admin, "/metrics", |_, text| {
        text.contains("lockstep_objects{kind=\"GatewayTopology\"} 1\n")
    })
    .await;
    let twice = Page::with(&serve.admin, PASSES, &[("result", "failed")], 2.0).await;
    let thrice = Page::with(&serve.admin, PASSES, &[("result", "failed")], 3.0).await;
    // Waits for one more, so that a failure follows that page.
    Page::with(&serve.admin, PASSES, &[("result", "failed")], 4.0).await;

    create(client, &namespace(NAMESPACE)).await;
    create(
        client,
        &json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lockstep-ca", "namespace": NAMESPACE},
        }),
    )
    .await;
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        create(
            client,
            &json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "lockstep"}, "webhooks": [],
            }),
        )
        .await;
    }
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    for object in &role("everything", &everything) {
        create(client, object).await;
    }
    wait::until_enforced(&serve.admin, 1).await;
    wait::until_ready(&serve.admin).await;
    [twice, thrice, Page::of(&serve.admin).await]
}

/// Asserts the alerts on these pages.
pub fn they_are_told([twice, thrice, granted]: &[Page; 3]) {
    let course = Course::default().then(thrice, 10).then(granted, 5);
    Alert::named("LockstepTopologyNotEnforced")
        .says(json!({"pod": POD}), "lockstep-1 lacks state for 1 topologies.")
        .assert(&course, &[0, 4], &[5, 9], &[10, 14]);
    let failed = [("result", "failed")];
    assert!(granted.value(PASSES, &failed) > thrice.value(PASSES, &failed));
    let course = Course::default().then(twice, 5).then(thrice, 10).then(granted, 30);
    Alert::named("LockstepAuthorityNotKept")
        .says(json!({"pod": POD}), "CA reconciliation fails on lockstep-1.")
        .assert(&course, &[5, 19], &[20, 28], &[30, 44]);
}
