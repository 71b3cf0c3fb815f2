//! The rendered chart agrees with the program: names, limits, paths and the default topology.

use lockstep::server::{Admin, Limits};
use lockstep::topology::{BUILT_IN, GatewayTopologySpec};
use serde_json::{Value, json};

use lockstep_test_support::helm::{Helm, NAMESPACE, chart, the};

/// The object that every release has under the same name, so that there is only one release.
const ONCE_PER_CLUSTER: &str = "lockstep-is-installed-once-per-cluster";

#[test]
fn the_default_topology_is_the_built_in_one() {
    let rendered = the("GatewayTopology", &Helm::offline().render("default", &[]));
    assert_eq!(rendered["metadata"]["name"], BUILT_IN);
    let spec: GatewayTopologySpec = serde_json::from_value(rendered["spec"].clone()).unwrap();
    assert_eq!(spec, GatewayTopologySpec::default());
}

#[test]
fn a_topology_that_names_no_namespace_is_covered_in_the_definitions() {
    let with = |topologies: &str| Helm::offline().render("default", &["--set-json", topologies]);
    let covered = |objects: &[Value]| {
        let webhooks = the("ValidatingWebhookConfiguration", objects)["webhooks"].clone();
        [0, 1].map(|index| webhooks[index]["namespaceSelector"]["matchExpressions"][0]["values"].clone())
    };
    let default = GatewayTopologySpec::default();
    assert_eq!(
        covered(&with("topologies=[{\"name\":\"a\"}]")),
        [json!([default.gateway.namespace]), json!([default.metallb_namespace])]
    );
    let two = r#"topologies=[{"name":"a"},{"name":"b","spec":{"gateway":{"namespace":"edge"}}}]"#;
    assert_eq!(covered(&with(two)), [json!(["edge", "istio-system"]), json!(["metallb-system"])]);
}

#[test]
fn the_termination_grace_period_covers_the_drain() {
    for more in
        [["--set", "drainSeconds=10"], ["--set", "drainSeconds=60"], ["--set", "preStopSleepSeconds=30"]]
    {
        let pod =
            the("Deployment", &Helm::offline().render("default", &more))["spec"]["template"]["spec"].clone();
        let container = &pod["containers"][0];
        let drain = container["args"].as_array().unwrap().iter().find_map(|argument| {
            argument.as_str().unwrap().strip_prefix("--drain=").map(|seconds| seconds.parse::<u64>().unwrap())
        });
        let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let needed = sleep + drain.unwrap() + Limits::default().grace.as_secs();
        let given = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(given >= needed + 5, "{more:?}: {needed} s are needed, {given} s given");
    }
}

/// A replica that receives SIGTERM without being deleted leaves the endpoints while it still serves.
#[test]
fn a_draining_replica_becomes_unready_before_it_closes() {
    let pod = the("Deployment", &Helm::offline().render("default", &[]))["spec"]["template"]["spec"].clone();
    let probe = &pod["containers"][0]["readinessProbe"];
    let [period, patience, tries] =
        ["periodSeconds", "timeoutSeconds", "failureThreshold"].map(|field| probe[field].as_u64().unwrap());
    let endpoints = 2;
    assert!(period * tries + patience + endpoints < Limits::default().drain.as_secs(), "{probe}");
    assert!(tries > 1, "one late response must not make a replica unready");
}

#[test]
fn the_probes_request_paths_that_the_program_serves() {
    let pod = the("Deployment", &Helm::offline().render("default", &[]))["spec"]["template"]["spec"].clone();
    let path = |probe: &str| pod["containers"][0][probe]["httpGet"]["path"].clone();
    assert_eq!(path("livenessProbe"), Admin::LIVEZ);
    assert_eq!(path("readinessProbe"), Admin::READYZ);
}

#[test]
fn a_name_override_applies_to_every_object() {
    let helm = Helm::offline();
    let rendered = helm.render("default", &["--set", "fullnameOverride=guard"]);
    let is_renamed = |object: &&Value| {
        object["kind"] != "GatewayTopology" && object["metadata"]["name"] != ONCE_PER_CLUSTER
    };
    for object in rendered.iter().filter(is_renamed) {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(name == "guard" || name.starts_with("guard-"), "{object}");
    }
    let text = helm.template("default", &["--set", "fullnameOverride=guard"]);
    for renamed in [
        "--tls-secret=lockstep-system/guard-ca",
        "--tls-name=guard.lockstep-system.svc",
        "--webhook-configuration=guard",
        "resourceNames: [guard]",
        "- guard-ca",
    ] {
        assert!(text.contains(renamed), "{renamed}");
    }
}

#[test]
fn the_notes_name_the_next_step_and_how_to_uninstall() {
    let chart = chart("");
    let notes =
        Helm::offline().run(&["install", "lockstep", &chart, "-n", NAMESPACE, "--dry-run=client"]).unwrap();
    for line in [
        "Lockstep guards gateways in istio-system and MetalLB in metallb-system.",
        "helm -n lockstep-system test lockstep",
        "See what would be refused today if it were created again",
        "lockstep check --cluster --enforce",
        "kubectl -n istio-system rollout restart deployment",
        "kubectl delete validatingwebhookconfiguration/lockstep mutatingwebhookconfiguration/lockstep",
    ] {
        assert!(notes.contains(line), "`{line}` is not in\n{notes}");
    }
}

#[test]
fn the_notes_name_the_topologies_that_do_not_enforce_yet() {
    let chart = chart("");
    let topologies = r#"topologies=[{"name":"a","spec":{"enforcement":"Warn"}},{"name":"b"},{"name":"c","spec":{"enforcementByRule":{"gateway-placement":"Audit"}}}]"#;
    let install =
        ["install", "lockstep", &chart, "-n", NAMESPACE, "--dry-run=client", "--set-json", topologies];
    let notes = Helm::offline().run(&install).unwrap();
    let line =
        "These topologies do not enforce every rule: a, c. Before they do, see what would be refused today:";
    assert!(notes.contains(line), "{notes}");
}
