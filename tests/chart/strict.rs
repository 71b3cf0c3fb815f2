//! A real API server accepts everything that the chart renders, with strict field validation.

use serde_json::{Value, json};

use lockstep_test_support::api;
use lockstep_test_support::control_plane::Options;
use lockstep_test_support::helm::{Helm, NAMESPACE, VALUES, objects, text};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release::{Cluster, apply};

/// API groups whose CRDs are not installed here. Only the snapshots check these objects.
const ELSEWHERE: [&str; 3] =
    ["monitoring.coreos.com/v1", "cert-manager.io/v1", "grafana.integreatly.org/v1beta1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rendered_object_is_accepted_under_the_restricted_pod_security_standard() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    let crd = text("crds/gatewaytopologies.yaml");
    cluster.control_plane.install_crd("gatewaytopologies.lockstep.dev", &crd).await.unwrap();
    for name in ["edge", "metallb-system"] {
        api::create(&client, &namespace(name)).await;
    }
    let standard = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted")))
        .into_iter()
        .collect::<serde_json::Map<_, _>>();
    let restricted = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": standard},
    });
    api::create(&client, &restricted).await;
    for values in VALUES {
        let rendered = Helm::offline().render(values, &[]);
        assert!(rendered.len() > 8, "{values} renders {} objects", rendered.len());
        for object in &rendered {
            if ELSEWHERE.contains(&object["apiVersion"].as_str().unwrap()) {
                continue;
            }
            let answer = apply(&client, object, "strict", "&dryRun=All").await;
            assert!(answer.status.is_success(), "{values}: {object}: {}", answer.body);
            assert_eq!(answer.warnings, Vec::<String>::new(), "{values}: {object}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_validation_rejects_an_unknown_field() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    api::create(&client, &namespace(NAMESPACE)).await;
    let mut deployment =
        lockstep_test_support::helm::the("Deployment", &Helm::offline().render("default", &[]));
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = json!(30);
    let answer = apply(&client, &deployment, "strict", "&dryRun=All").await;
    assert!(answer.body["message"].as_str().unwrap().contains("terminationGracePeriod"), "{}", answer.body);
}

/// The API server's defaults for an object. A tool that compares a manifest with the cluster field by field would
/// report each of them as drift.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_adds_no_default_to_a_webhook_configuration() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let object =
            lockstep_test_support::helm::the(kind, &objects(&Helm::offline().template("default", &[])));
        let stored = apply(&client, &object, "strict", "").await.body;
        let sorted = |webhooks: &Value| {
            let mut webhooks = webhooks.as_array().unwrap().clone();
            webhooks.sort_by_key(|webhook| webhook["name"].to_string());
            webhooks
        };
        assert_eq!(sorted(&stored["webhooks"]), sorted(&object["webhooks"]), "{kind}");
    }
}
