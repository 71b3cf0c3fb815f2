//! Replicas with their own certificates, and a cluster whose API server calls them through a Service.

use std::process::Stdio;

use kube::Client;
use serde_json::{Value, json};

use super::api::create;
use super::control_plane::{ControlPlane, Options};
use super::objects::{self, LABEL, namespace};
use super::serve::Serve;

const NAMESPACE: &str = "lockstep-system";

/// Installs the CRD of topologies and creates the namespaces.
pub async fn prepare(control_plane: &ControlPlane, client: &Client) {
    control_plane.install_topologies().await.unwrap();
    for name in [NAMESPACE, "istio-system", "metallb-system"] {
        create(client, &namespace(name)).await;
    }
}

/// Starts a control plane that no other test runs beside, with the objects of a release except the replicas. Calls go to `balancer`, a
/// loopback address.
pub async fn start_furnished(balancer: &str) -> (ControlPlane, Client) {
    let control_plane = ControlPlane::start_with(Options::default().alone()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    furnish(&control_plane, &client, balancer).await;
    (control_plane, client)
}

async fn furnish(control_plane: &ControlPlane, client: &Client, balancer: &str) {
    prepare(control_plane, client).await;
    create(
        client,
        &json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "lockstep-ca", "namespace": NAMESPACE},
        }),
    )
    .await;
    // An API server outside the cluster network connects to a Service of type `ExternalName` by the name in it.
    // Everything else is as with any Service: HTTP/1.1, and a certificate for the Service's name.
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

/// A configuration for pods only, so that MetalLB's CRDs are not needed.
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

/// Starts a replica with further arguments.
pub async fn start(control_plane: &ControlPlane, arguments: &[&str]) -> Serve {
    start_with_stdout(control_plane, arguments, Stdio::inherit()).await
}

/// Starts a replica with further arguments and this standard output.
pub async fn start_with_stdout(control_plane: &ControlPlane, arguments: &[&str], stdout: Stdio) -> Serve {
    let secret = format!("{NAMESPACE}/lockstep-ca");
    let mut all = vec![
        "--tls-secret",
        &secret,
        "--webhook-configuration",
        "lockstep",
        "--tls-name",
        "lockstep.lockstep-system.svc",
    ];
    all.extend(arguments);
    Serve::start_with_stdout(&all, Some(control_plane.kubeconfig_path()), stdout).await
}

/// The default topology, with gateway nodes that have this value of [`LABEL`].
pub fn topology(value: &str) -> Value {
    objects::topology("istio-ingressgateway", &json!({"placement": {"nodeSelector": {LABEL: value}}}))
}
