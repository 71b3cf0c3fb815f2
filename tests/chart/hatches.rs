//! The values that fit the release into a cluster with habits of its own: each of them in what is rendered, and what a real API
//! server says to it.

use lockstep_test_support::api;
use lockstep_test_support::control_plane::Options;
use lockstep_test_support::helm::{Helm, NAMESPACE, objects, the};
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release::{Cluster, apply};
use serde_json::{Value, json};

fn render(values: &[&str]) -> Vec<Value> {
    let pairs: Vec<&str> = values.iter().flat_map(|value| ["--set-json", *value]).collect();
    Helm::offline().render("default", &pairs)
}

fn pod(objects: &[Value]) -> Value {
    the("Deployment", objects)["spec"]["template"].clone()
}

#[test]
fn common_labels_and_annotations_are_on_every_object_and_on_the_pods() {
    let rendered =
        render(&["commonLabels={\"team\":\"edge\"}", "commonAnnotations={\"example.org/a\":\"b\"}"]);
    assert!(rendered.len() > 15);
    for object in rendered.iter().chain([&pod(&rendered)]) {
        assert_eq!(object["metadata"]["labels"]["team"], "edge", "{object}");
        assert_eq!(object["metadata"]["annotations"]["example.org/a"], "b", "{object}");
    }
    let selector = the("Deployment", &rendered)["spec"]["selector"]["matchLabels"].clone();
    assert!(selector.get("team").is_none(), "a selector cannot change in an upgrade: {selector}");
}

#[test]
fn labels_of_an_object_win_over_common_ones_and_no_key_is_there_twice() {
    let text = Helm::offline().template(
        "default",
        &["--set-json", "commonLabels={\"team\":\"edge\"}", "--set-json", "podLabels={\"team\":\"pods\"}"],
    );
    // The parser refuses a key that is there twice.
    assert_eq!(pod(&objects(&text))["metadata"]["labels"]["team"], "pods");
}

#[test]
fn the_release_may_live_in_another_namespace_than_helms_record() {
    let values = ["--set", "namespaceOverride=guard,serviceMonitor.enabled=true,prometheusRule.enabled=true"];
    let text = Helm::offline().template("default", &values);
    for object in objects(&text) {
        let namespace = object["metadata"].get("namespace");
        assert!(namespace.is_none_or(|namespace| namespace == "guard"), "{object}");
    }
    assert!(!text.contains(NAMESPACE), "{text}");
    for part in ["--tls-secret=guard/lockstep-ca", "--tls-name=lockstep.guard.svc", "namespace=\"guard\""] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn an_image_that_is_null_is_the_default_one() {
    let default = pod(&render(&[]))["spec"]["containers"][0].clone();
    for value in [
        "image=null",
        "image.tag=null",
        "image.digest=null",
        "image.pullPolicy=null",
        "image.repository=null",
    ] {
        let container = pod(&render(&[value]))["spec"]["containers"][0].clone();
        for field in ["image", "imagePullPolicy"] {
            assert_eq!(container[field], default[field], "{value}");
        }
    }
}

#[test]
fn openshift_chooses_the_user_and_the_groups() {
    let rendered = Helm::offline().render("mtls", &["--api-versions", "security.openshift.io/v1"]);
    let context = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(pod(&rendered)["spec"]["securityContext"], context);
    assert_eq!(the("Pod", &rendered)["spec"]["securityContext"], context);
    // Without its API, `null` leaves them out; and a user of the values stays.
    let nulls = "podSecurityContext={\"runAsUser\":null,\"runAsGroup\":null,\"fsGroup\":null}";
    assert_eq!(pod(&render(&[nulls]))["spec"]["securityContext"], context);
    let own = ["--api-versions", "security.openshift.io/v1", "--set", "podSecurityContext.runAsUser=1000"];
    let rendered = Helm::offline().render("default", &own);
    assert_eq!(pod(&rendered)["spec"]["securityContext"]["runAsUser"], 1000);
}

#[test]
fn a_security_context_changes_one_field_and_keeps_the_others() {
    let rendered = render(&["securityContext.readOnlyRootFilesystem=false", "podSecurityContext.fsGroup=7"]);
    let spec = &pod(&rendered)["spec"];
    let container = &spec["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], false);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(
        (&spec["securityContext"]["fsGroup"], &spec["securityContext"]["runAsUser"]),
        (&json!(7), &json!(65532))
    );
}

#[test]
fn resources_change_one_amount_of_their_preset() {
    let of = |values: &[&str]| pod(&render(values))["spec"]["containers"][0]["resources"].clone();
    let standard = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
    assert_eq!(of(&[]), standard);
    let mut changed = standard;
    changed["limits"]["memory"] = json!("512Mi");
    assert_eq!(of(&["resources.limits.memory=\"512Mi\""]), changed);
    assert_eq!(of(&["resourcesPreset=\"none\""]), json!({}));
    assert_eq!(of(&["resourcesPreset=\"large\""])["limits"], json!({"memory": "1Gi"}));
}

#[test]
fn other_ports_are_served_probed_and_reached() {
    let rendered = render(&["ports={\"https\":9443,\"probes\":9080,\"metrics\":9081}"]);
    let container = pod(&rendered)["spec"]["containers"][0].clone();
    let arguments = container["args"].to_string();
    for argument in ["--listen=0.0.0.0:9443", "--admin-listen=0.0.0.0:9080", "--metrics-listen=0.0.0.0:9081"]
    {
        assert!(arguments.contains(argument), "{arguments}");
    }
    let ports: Vec<u64> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["containerPort"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [9443, 9080, 9081]);
    // Probes, the Service, the NetworkPolicy and the monitors name the ports.
    assert_eq!(the("Service", &rendered)["spec"]["ports"][0]["targetPort"], "https");
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], "probes");
}

#[test]
fn on_the_host_network_pods_still_resolve_services() {
    let spec = |values: &[&str]| pod(&render(values))["spec"].clone();
    let default = spec(&[]);
    assert!(default.get("hostNetwork").is_none() && default.get("dnsPolicy").is_none());
    let host = spec(&["hostNetwork=true"]);
    assert_eq!((&host["hostNetwork"], &host["dnsPolicy"]), (&json!(true), &json!("ClusterFirstWithHostNet")));
    assert_eq!(spec(&["hostNetwork=true", "dnsPolicy=\"Default\""])["dnsPolicy"], "Default");
}

#[test]
fn aks_leaves_the_webhook_configurations_alone_unless_the_label_is_removed() {
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let labels = |values: &[&str]| the(kind, &render(values))["metadata"]["labels"].clone();
        assert_eq!(labels(&[])["admissions.enforcer/disabled"], "true");
        let removed = labels(&["webhooks.labels={\"admissions.enforcer/disabled\":null}"]);
        assert!(removed.get("admissions.enforcer/disabled").is_none(), "{removed}");
    }
}

#[test]
fn only_the_webhook_that_warns_of_workloads_fails_open_and_it_can_be_turned_off() {
    let webhooks =
        |values: &[&str]| the("ValidatingWebhookConfiguration", &render(values))["webhooks"].clone();
    for webhook in webhooks(&[]).as_array().unwrap() {
        let warns = webhook["name"] == "workloads.validate.lockstep.dev";
        assert_eq!(webhook["failurePolicy"], if warns { "Ignore" } else { "Fail" });
        let resources = webhook["rules"].to_string();
        assert_eq!(resources.contains("deployments"), warns, "{resources}");
        assert!(!warns || !resources.contains("pods") && !resources.contains('/'), "{resources}");
    }
    let off = webhooks(&["webhooks.warnOfWorkloads=false"]);
    assert_eq!(off.as_array().unwrap().len(), 2);
    let mutating = the("MutatingWebhookConfiguration", &render(&[]))["webhooks"].to_string();
    assert!(!mutating.contains("deployments") && !mutating.contains("rollouts"), "{mutating}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_accepts_each_value_by_itself() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client().await;
    let crd = lockstep_test_support::helm::text("crds/gatewaytopologies.yaml");
    cluster.control_plane.install_crd("gatewaytopologies.lockstep.dev", &crd).await.unwrap();
    for name in ["edge", "guard", "metallb-system", NAMESPACE] {
        api::create(&client, &namespace(name)).await;
    }
    for values in [
        "hostNetwork=true",
        "namespaceOverride=\"guard\"",
        "webhooks.onlyGatewayObjects=false",
        "webhooks.warnOfWorkloads=false",
        "nodeGuard.enabled=false",
        "webhooks.matchConditions=[{\"name\":\"x\",\"expression\":\"true\"}]",
        "podSecurityContext={\"runAsUser\":null,\"runAsGroup\":null,\"fsGroup\":null}",
        "resourcesPreset=\"none\"",
        "metrics.listen=\"Localhost\"",
        "rbac.reader=false",
        "reports.enabled=false",
        "audit.enabled=false",
        "replicas=0",
        "image=null",
        "networkPolicy.enabled=false",
        "mutualTLS.clientCASecret=\"ca\"",
        "tracing={\"endpoint\":\"https://collector:4318\",\"caSecret\":\"ca\"}",
        "certificates={\"mode\":\"files\",\"files\":{\"secretName\":\"pair\"}}",
    ] {
        for object in render(&[values]) {
            let answer = apply(&client, &object, "hatches", "&dryRun=All").await;
            assert!(answer.status.is_success(), "{values}: {object}: {}", answer.body);
            assert_eq!(answer.warnings, Vec::<String>::new(), "{values}: {object}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_release_is_refused_with_a_sentence_until_the_first_is_gone() {
    let cluster = Cluster::start(Options::default()).await;
    cluster.install(&[]);
    let topologies = r#"topologies=[{"name":"edge","spec":{"gateway":{"namespace":"edge"}}}]"#;
    let chart = lockstep_test_support::helm::chart("");
    let second = ["install", "edge", &chart, "-n", "guard", "--create-namespace", "--set-json", topologies];
    let said = cluster.helm.run(&second).unwrap_err();
    assert!(said.contains("ClusterRole \"lockstep-is-installed-once-per-cluster\""), "{said}");
    assert!(said.contains("exists and cannot be imported into the current release"), "{said}");
    cluster.helm.run(&["uninstall", "lockstep", "-n", NAMESPACE]).unwrap();
    let again = [&["upgrade", "--install"], &second[1..]].concat();
    cluster.helm.run(&again).unwrap();
}
