//! The reasons in `/readyz` until a replica is ready, and the rights that a replica needs.

use axum::http::StatusCode;
use lockstep::tls::ca::Lifetimes;
use serde_json::{Value, json};

use super::world::{NAMESPACE, World, create_namespace};
use lockstep_test_support::api::create;
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

fn arguments() -> [String; 6] {
    [
        "--tls-secret".to_owned(),
        format!("{NAMESPACE}/lockstep"),
        "--webhook-configuration".to_owned(),
        "lockstep".to_owned(),
        "--tls-name".to_owned(),
        "localhost".to_owned(),
    ]
}

async fn until_unready(serve: &Serve, reason: &str) {
    let says = |status, text: &str| status == StatusCode::SERVICE_UNAVAILABLE && text.contains(reason);
    wait::until(&serve.admin, "/readyz", says).await;
    wait::until(&serve.admin, "/livez", |status, _| status == StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_reports_what_is_missing_until_the_program_is_ready() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World { client: client.clone(), name: "lockstep".to_owned() };
    let arguments = arguments();
    let arguments = arguments.each_ref().map(String::as_str);
    let serve = Serve::start(&arguments, Some(control_plane.kubeconfig_path())).await;
    until_unready(
        &serve,
        "Secret `lockstep-system/lockstep` does not exist: create an empty one, as the chart does: `kubectl create secret generic lockstep -n lockstep-system`",
    )
    .await;
    world.create_secret().await;
    until_unready(&serve, "MutatingWebhookConfiguration `lockstep` does not exist").await;
    let first = world.data("ca.crt").await.unwrap();
    world.patch_secret(&json!({"stringData": {"ca.key": "garbage"}})).await;
    until_unready(
        &serve,
        "Secret `lockstep-system/lockstep` holds no certificate authority: its `ca.key` is not a private key as PEM",
    )
    .await;
    world.patch_secret(&json!({"data": null})).await;
    world.create_configurations().await;
    wait::until_ready(&serve.admin).await;
    let ca = world.data("ca.crt").await.unwrap();
    assert_eq!(ca, first, "the replica keeps its CA");
    drop(Connection::open(&serve.webhook, &trusting(&ca)).await);
    let metrics = wait::until(&serve.admin, "/metrics", |status, _| status == StatusCode::OK).await;
    for name in [
        "lockstep_tls_issuer_info{serial=\"",
        "lockstep_ca_expiry_timestamp_seconds 1",
        "lockstep_tls_certificate_expiry_timestamp_seconds 1",
        "lockstep_ca_passes_total{result=\"ok\"} ",
        "lockstep_ca_bundles_mended_total 4",
    ] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }

    world.delete_secret().await;
    world.delete_configurations().await;
    let failed = |_, text: &str| !text.contains("lockstep_ca_passes_total{result=\"failed\"} 0\n");
    wait::until(&serve.admin, "/metrics", failed).await;
    wait::until_ready(&serve.admin).await;
    drop(Connection::open(&serve.webhook, &trusting(&ca)).await);
}

fn role(kind: &str, rules: &Value) -> Value {
    let metadata = match kind {
        "Role" => json!({"name": "lockstep", "namespace": NAMESPACE}),
        _ => json!({"name": "lockstep"}),
    };
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules})
}

fn binding(role: &Value) -> Value {
    let kind = role["kind"].as_str().unwrap();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": role["metadata"],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "lockstep"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_needs_rights_to_the_secret_and_the_two_configurations_only() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World::create(&client, "lockstep").await;
    let alice = control_plane.client_as("alice").await.unwrap();
    let mut replica = world.replica_as(alice, Lifetimes::default()).await;
    let forbidden = |ready: &Result<(), String>| {
        ready.as_ref().is_err_and(|reason| {
            reason.starts_with(
                "Secret `lockstep-system/lockstep` cannot be read: secrets \"lockstep\" is forbidden",
            )
        })
    };
    drop(replica.readiness.wait_for(forbidden).await.unwrap());

    let verbs = ["get", "list", "watch", "patch"];
    let of_secret = json!([{
        "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["lockstep"], "verbs": verbs,
    }]);
    let of_configurations = json!([{
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "resourceNames": ["lockstep"], "verbs": verbs,
    }]);
    for role in [role("ClusterRole", &of_configurations), role("Role", &of_secret)] {
        create(&client, &role).await;
        create(&client, &binding(&role)).await;
    }
    replica.ready().await;
    assert_eq!(world.bundles().await, vec![world.data("ca.crt").await.unwrap(); 4]);
}
