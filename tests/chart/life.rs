//! The chart from `helm install` to `helm uninstall`: what upgrades keep, and what an uninstall leaves.

use axum::http::{Method, StatusCode};
use base64::Engine;
use kube::Client;
use serde_json::{Value, json};

use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{MetalLb, Options};
use lockstep_test_support::helm::{Helm, NAMESPACE, chart, text};
use lockstep_test_support::objects::{gateway_pod, namespace, topology};
use lockstep_test_support::release::{Cluster, apply, labelled, read};
use lockstep_test_support::wait;

const INSTANCE: &str = "app.kubernetes.io/instance=lockstep";
const SECRET: &str = "/api/v1/namespaces/lockstep-system/secrets/lockstep-ca";
const WEBHOOKS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lockstep",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep",
];

async fn status_of(client: &Client, path: &str) -> StatusCode {
    call(client, Method::GET, path, "application/json", &Value::Null).await.status
}

/// Writes what the replicas write: the CA into the Secret and into every webhook. Returns the CA.
async fn certify(client: &Client) -> String {
    let pem = "-----BEGIN CERTIFICATE-----\n";
    let ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    assert!(ca.starts_with(pem));
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let mut secret = read(client, SECRET).await;
    assert!(secret.get("data").is_none(), "the chart renders an empty Secret");
    secret["data"] = json!({"ca.crt": ca});
    let answer = call(client, Method::PUT, SECRET, "application/json", &secret).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    for path in WEBHOOKS {
        let count = read(client, path).await["webhooks"].as_array().unwrap().len();
        let patch: Vec<Value> = (0..count)
            .map(|index| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": ca}))
            .collect();
        let answer = call(client, Method::PATCH, path, "application/json-patch+json", &json!(patch)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
    ca
}

async fn assert_certified(client: &Client, ca: &str) {
    assert_eq!(read(client, SECRET).await["data"]["ca.crt"], ca);
    for path in WEBHOOKS {
        for webhook in read(client, path).await["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["clientConfig"]["caBundle"], ca, "{path}");
        }
    }
}

/// Returns the chart as an earlier release.
fn previous_chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(chart(".")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    let chart = folder.path().join("Chart.yaml");
    let older = text("Chart.yaml").replace("\nversion: 0.1.0\n", "\nversion: 0.0.9\n");
    assert_ne!(older, text("Chart.yaml"), "this test expects the chart's version");
    std::fs::write(chart, older).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_changes_only_the_given_values_and_keeps_the_certificates() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    let previous = previous_chart();
    let previous = previous.path().to_str().unwrap();
    cluster.helm.run(&["install", "lockstep", previous, "-n", NAMESPACE, "--create-namespace"]).unwrap();
    let ca = certify(&client).await;
    let deployment = "/apis/apps/v1/namespaces/lockstep-system/deployments/lockstep";
    for (replicas, more) in
        [(3, ["--server-side=true"]), (4, ["--server-side=false"]), (5, ["--server-side=true"])]
    {
        cluster.upgrade(&[&["--set", &format!("replicas={replicas}")], more.as_slice()].concat());
        assert_eq!(read(&client, deployment).await["spec"]["replicas"], replicas);
        assert_certified(&client, &ca).await;
    }
    let labels = &read(&client, SECRET).await["metadata"]["labels"];
    assert_eq!(labels["helm.sh/chart"], "lockstep-0.1.0");

    // A manual change of a webhook configuration makes the upgrade fail with a conflict; `--force-conflicts` overrides
    // it.
    for path in WEBHOOKS {
        let edited = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
        let answer = call(&client, Method::PATCH, path, "application/json-patch+json", &edited).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
    let upgrade = ["upgrade", "lockstep", &chart(""), "-n", NAMESPACE];
    let said = cluster.helm.run(&upgrade).unwrap_err();
    assert!(said.contains("conflict") && said.contains("failurePolicy"), "{said}");
    cluster.upgrade(&["--force-conflicts"]);
    for path in WEBHOOKS {
        assert_eq!(read(&client, path).await["webhooks"][0]["failurePolicy"], "Fail", "{path}");
    }
    assert_certified(&client, &ca).await;

    // The webhook configurations are deleted, as in an emergency, and restored by an upgrade. No replica runs here.
    api::create(&client, &namespace("istio-system")).await;
    assert!(!api::post(&client, &gateway_pod("unchecked"), true).await.status.is_success());
    for path in WEBHOOKS {
        assert!(
            call(&client, Method::DELETE, path, "application/json", &Value::Null).await.status.is_success()
        );
    }
    let is_turned_off =
        async || api::post(&client, &gateway_pod("unchecked"), true).await.status.is_success();
    assert!(wait::until_so(is_turned_off).await);
    cluster.upgrade(&[]);
    for path in WEBHOOKS {
        assert_eq!(status_of(&client, path).await, StatusCode::OK);
    }
    assert_eq!(read(&client, SECRET).await["data"]["ca.crt"], ca);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crd_can_be_applied_over_the_one_that_helm_installed() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    cluster.install(&[]);
    let crd = lockstep_test_support::helm::objects(&text("crds/gatewaytopologies.yaml")).remove(0);
    // docs/operation.md, "Upgrade": `kubectl apply --server-side --force-conflicts`.
    let answer = apply(&client, &crd, "kubectl", "&force=true").await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_installs_before_istio_and_metallb_and_an_uninstall_leaves_only_the_crd() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    cluster.install(&[]);
    api::create(&client, &namespace("istio-system")).await;
    cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    api::create(&client, &namespace("metallb-system")).await;
    certify(&client).await;
    let installed = labelled(&client, INSTANCE).await;
    let expected = Helm::offline().render("default", &[]).len() - 1;
    assert_eq!(installed.len(), expected, "all but the pod of `helm test`: {installed:?}");

    // No replica runs here, so the API server rejects pods of the gateway.
    let refused = api::post(&client, &gateway_pod("first"), false).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", refused.body);
    let said = refused.body["message"].as_str().unwrap();
    assert!(said.contains("failed calling webhook \"gateways.mutate.lockstep.dev\""), "{said}");
    // Pods in Lockstep's own namespace and in others do not depend on the webhook.
    for free in [NAMESPACE, "default"] {
        let mut pod = gateway_pod("first");
        pod["metadata"]["namespace"] = json!(free);
        api::create(&client, &pod).await;
    }

    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    assert_eq!(labelled(&client, INSTANCE).await, Vec::<String>::new());
    for path in WEBHOOKS.into_iter().chain([SECRET]) {
        assert_eq!(status_of(&client, path).await, StatusCode::NOT_FOUND, "{path}");
    }
    let secrets = read(&client, "/api/v1/secrets").await;
    assert_eq!(secrets["items"], json!([]), "Helm's own records of the release");
    let left = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";
    assert_eq!(read(&client, left).await["items"], json!([]));
    api::create(&client, &gateway_pod("second")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_installs_after_istio_and_metallb_with_rights_in_their_namespaces_only() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    for name in ["istio-system", "metallb-system"] {
        api::create(&client, &namespace(name)).await;
    }
    cluster.install(&["--set", "rbac.namespaced=true"]);
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces";
    for path in [
        format!("{roles}/istio-system/roles/lockstep-gateways"),
        format!("{roles}/metallb-system/roles/lockstep-metallb"),
    ] {
        assert_eq!(status_of(&client, &path).await, StatusCode::OK, "{path}");
    }
    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    assert_eq!(labelled(&client, INSTANCE).await, Vec::<String>::new());
}

const DEFINITION: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gatewaytopologies.lockstep.dev";

/// Applies the definition of an older release, without the short name and without exceptions.
async fn age_definition(client: &Client, manager: &str) {
    let mut definition: Value = serde_saphyr::from_str(&text("crds/gatewaytopologies.yaml")).unwrap();
    definition["spec"]["names"].as_object_mut().unwrap().remove("shortNames");
    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    definition.pointer_mut(fields).unwrap().as_object_mut().unwrap().remove("exceptions").unwrap();
    let path = format!("{DEFINITION}?fieldManager={manager}&force=true");
    let answer = call(client, Method::PATCH, &path, "application/apply-patch+yaml", &definition).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    assert!(!is_of_today(client).await);
}

async fn is_of_today(client: &Client) -> bool {
    let definition = read(client, DEFINITION).await;
    let exceptions = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/exceptions";
    definition.pointer(exceptions).is_some() && definition["spec"]["names"]["shortNames"] == json!(["gwt"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_change_the_definition_once_the_release_has_taken_it_over_and_it_outlives_the_release() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    cluster.install(&[]);
    let others = topology("of-others", &json!({"announcements": {"onDelete": "Warn"}}));
    api::create(&client, &others).await;
    // As the documents say, by hand.
    age_definition(&client, "kubectl").await;
    // An upgrade alone leaves it as it is.
    cluster.upgrade(&[]);
    assert!(!is_of_today(&client).await);

    let chart = chart("");
    let upgrade = ["upgrade", "lockstep", &chart, "-n", NAMESPACE, "--set", "crds.enabled=true"];
    let refused = cluster.helm.run(&upgrade).unwrap_err();
    assert!(refused.contains("gatewaytopologies.lockstep.dev") && refused.contains("ownership"), "{refused}");
    cluster.upgrade(&["--set", "crds.enabled=true", "--take-ownership", "--force-conflicts"]);
    assert!(is_of_today(&client).await);
    age_definition(&client, "helm").await;
    cluster.upgrade(&["--set", "crds.enabled=true"]);
    assert!(is_of_today(&client).await, "the next upgrade needs no flag");
    let stored = read(&client, &api::path_of(&others)).await;
    assert_eq!(stored["spec"]["announcements"]["onDelete"], "Warn");

    // Turned off again, and uninstalled: it stays, and so do the topologies of others.
    cluster.upgrade(&["--set", "crds.enabled=false"]);
    assert_eq!(status_of(&client, DEFINITION).await, StatusCode::OK);
    cluster.upgrade(&["--set", "crds.enabled=true", "--take-ownership"]);
    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    assert_eq!(read(&client, &api::path_of(&others)).await["metadata"]["uid"], stored["metadata"]["uid"]);

    // Who asks for it gets it removed with the release.
    cluster.install(&["--set", "crds.enabled=true,crds.keep=false", "--take-ownership"]);
    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    let is_gone = wait::until_so(async || status_of(&client, DEFINITION).await == StatusCode::NOT_FOUND);
    assert!(is_gone.await, "the definition is still there");
}
