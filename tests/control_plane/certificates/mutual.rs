//! Mutual TLS with a real API server, which presents the client certificate of its admission configuration.

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use kube::Client;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use serde_json::{Value, json};

use lockstep_test_support::api::{self, create};
use lockstep_test_support::busy::BusyThreads;
use lockstep_test_support::control_plane::{ControlPlane, Options};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

const LABEL: &str = "loadbalancerIPs.metallb.io";

/// Writes a CA and a client certificate with this name that it has signed.
fn write_identity(folder: &Path, name: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "the API server's client CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    fs::write(folder.join("client.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
}

/// Writes the API server's admission configuration from `certs/README.md`. JSON is YAML.
fn write_admission_configuration(folder: &Path) -> PathBuf {
    let kubeconfig = folder.join("webhooks.yaml");
    let user = json!({
        "client-certificate": folder.join("client.crt"), "client-key": folder.join("client.key"),
    });
    let content = json!({"apiVersion": "v1", "kind": "Config", "users": [{"name": "*", "user": user}]});
    fs::write(&kubeconfig, content.to_string()).unwrap();
    let plugin = |name: &str| {
        json!({
            "name": name,
            "configuration": {
                "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
                "kubeConfigFile": kubeconfig,
            },
        })
    };
    let content = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [plugin("MutatingAdmissionWebhook"), plugin("ValidatingAdmissionWebhook")],
    });
    let path = folder.join("admission.yaml");
    fs::write(&path, content.to_string()).unwrap();
    path
}

async fn serve(folder: &Path, namespace: &str, name: &str) -> Serve {
    let facts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/seed");
    let ca = folder.join("ca.crt");
    let tls_name = format!("lockstep.{namespace}.svc");
    let arguments = [
        "--facts",
        facts.to_str().unwrap(),
        "--tls-name",
        &tls_name,
        "--client-ca",
        ca.to_str().unwrap(),
        "--client-name",
        name,
    ];
    let serve = Serve::start(&arguments, None).await;
    wait::until_ready(&serve.admin).await;
    serve
}

/// Registers a webhook for the gateway pods of a namespace.
async fn register(client: &Client, namespace: &str, serve: &Serve) {
    let ca = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &serve.ca_pem);
    // The webhook is registered by Service, not by URL: the API server calls a Service over HTTP/1.1, as in a cluster,
    // but the URL of a loopback address over HTTP/2, and Go's HTTP/2 client does not always report why a handshake
    // failed.
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "lockstep", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    create(client, &service).await;
    let port: u16 = serve.webhook.rsplit(':').next().unwrap().parse().unwrap();
    let service = json!({"namespace": namespace, "name": "lockstep", "path": "/mutate", "port": port});
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": format!("{namespace}.lockstep.dev"),
            "clientConfig": {"service": service, "caBundle": ca},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
        }],
    });
    create(client, &configuration).await;
}

fn pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "gateway", "namespace": namespace,
            "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
        },
        "spec": {"containers": [{"name": "proxy", "image": "istio/proxyv2"}]},
    })
}

/// Makes the webhook reject the API server's certificate this many times, and asserts that the user gets the reason
/// each time.
async fn assert_explained(client: &Client, tries: usize) {
    for attempt in 0..tries {
        let answer = api::post(client, &pod("guarded"), true).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let message = answer.body["message"].as_str().unwrap();
        let is_explained = message.contains("failed calling webhook")
            && message.ends_with("remote error: tls: access denied");
        assert!(is_explained, "{attempt}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_is_accepted_if_its_certificate_has_an_accepted_name() {
    let folder = tempfile::tempdir().unwrap();
    write_identity(folder.path(), "kube-apiserver");
    let admission = write_admission_configuration(folder.path());
    let argument = format!("--admission-control-config-file={}", admission.display());
    let control_plane = ControlPlane::start_with(Options::default().api_server_arg(argument)).await.unwrap();
    let client = control_plane.client().await.unwrap();
    for name in ["istio-system", "guarded"] {
        create(&client, &namespace(name)).await;
    }
    let right = serve(folder.path(), "istio-system", "kube-apiserver").await;
    let wrong = serve(folder.path(), "guarded", "nobody").await;
    register(&client, "istio-system", &right).await;
    register(&client, "guarded", &wrong).await;

    // The API server admits pods unchanged until it has seen the webhook configuration.
    let is_placed = async || {
        let answer = api::post(&client, &pod("istio-system"), true).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body["spec"]["nodeSelector"][LABEL] == "arp"
    };
    super::world::until("the webhook is called", is_placed).await;
    let is_refused = async || api::post(&client, &pod("guarded"), true).await.status != StatusCode::CREATED;
    super::world::until("the other webhook is called", is_refused).await;
    // A connection reset loses the alert only sometimes, most often on a busy machine.
    let busy = BusyThreads::start();
    assert_explained(&client, 100).await;
    drop(busy);
    assert_explained(&client, 100).await;
    let refused = |_, text: &str| {
        let series = "lockstep_tls_handshakes_failed_total{reason=\"caller\"} ";
        text.lines().filter_map(|line| line.strip_prefix(series)).any(|count| count != "0")
    };
    wait::until(&wrong.admin, "/metrics", refused).await;
    let reviewed = |_, text: &str| text.lines().any(|line| line.starts_with("lockstep_requests_in_flight 0"));
    wait::until(&wrong.admin, "/metrics", reviewed).await;
}
