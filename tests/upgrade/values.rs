//! What the values of the earlier chart mean in this one.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_test_support::control_plane::Options;
use lockstep_test_support::helm::{Helm, NAMESPACE, chart, objects};
use lockstep_test_support::release::Cluster;
use serde_json::Value;

use crate::{Previous, helm};

/// A state of every value of the earlier chart that is not its default.
const STATES: &[&str] = &[
    r#"nodeSelector={"kubernetes.io/os":null,"example.org/pool":"system"}"#,
    r#"image={"repository":"registry.example/lockstep","tag":"edge","pullPolicy":"Always"}"#,
    r#"image.digest="sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
    r#"imagePullSecrets=[{"name":"registry"}]"#,
    r#"nameOverride="guard""#,
    r#"fullnameOverride="guard""#,
    r#"topologies=[{"name":"edge","spec":{"gateway":{"namespace":"edge","podLabels":{"app":"edge"}},"enforcement":"Warn"}}]"#,
    "webhooks.timeoutSeconds=7",
    r#"webhooks.gatewayNamespaces=["others"]"#,
    r#"webhooks.metallbNamespaces=["metallb-others"]"#,
    r#"webhooks.annotations={"example.org/owner":"network"}"#,
    r#"certificates={"mode":"files","files":{"secretName":"pair","caBundle":"-----BEGIN CERTIFICATE-----\nabc\n"},"reloadSeconds":20}"#,
    r#"certificates={"mode":"cert-manager","certManager":{"issuerRef":{"name":"ca","kind":"Issuer"},"duration":"24h","renewBefore":"8h"}}"#,
    r#"certificates.self={"caLifetime":7776000,"leafLifetime":259200,"caPropagation":30}"#,
    r#"mutualTLS={"clientCASecret":"callers","clientNames":["kube-apiserver"]}"#,
    "replicas=5",
    "podDisruptionBudget.enabled=false",
    "podDisruptionBudget.maxUnavailable=2",
    r#"topologySpread.whenUnsatisfiable="DoNotSchedule""#,
    r#"priorityClassName="system-cluster-critical""#,
    "rbac.namespaced=true",
    r#"serviceAccount={"name":"guard","annotations":{"example.org/owner":"accounts"}}"#,
    r#"service.annotations={"example.org/owner":"services"}"#,
    r#"listenAddress="[::]""#,
    "drainSeconds=20",
    "preStopSleepSeconds=15",
    r#"log={"level":"debug","format":"text"}"#,
    "audit.enabled=false",
    "audit.allowed=true",
    r#"extraArgs=["--stale-after=120"]"#,
    r#"resources={"requests":{"cpu":"100m","memory":"96Mi"},"limits":{"memory":"1Gi"}}"#,
    r#"podAnnotations={"example.org/owner":"pods"}"#,
    r#"podLabels={"team":"network"}"#,
    r#"tolerations=[{"key":"system","operator":"Exists"}]"#,
    r#"affinity={"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"system","operator":"Exists"}]}}]}}"#,
    r#"networkPolicy={"enabled":true,"webhookCIDRs":["192.0.2.0/24"],"metricsFrom":[{"podSelector":{}}],"apiServerCIDRs":["198.51.100.0/24"],"apiServerPorts":[6443]}"#,
    r#"serviceMonitor={"enabled":true,"labels":{"release":"prometheus"},"interval":"15s"}"#,
    r#"prometheusRule={"enabled":true,"labels":{"release":"prometheus"},"alertLabels":{"team":"network"},"certificateExpirySeconds":7200}"#,
];

/// What this chart renders otherwise on purpose, by a part of the leaf, with the reason.
const ON_PURPOSE: [(&str, &str); 7] = [
    (" (admin) ", "probes and metrics have a port each"),
    ("= \"admin\"", "probes and metrics have a port each"),
    ("= \"--log-level=info,kube_runtime::watcher=error\"", "the default leaves out warnings of rustls, too"),
    ("Role lockstep ", "the role for the CA is also the one for looking at the own Service"),
    ("RoleBinding lockstep ", "the role for the CA is also the one for looking at the own Service"),
    (" annotations description = ", "alerts have other words"),
    (" annotations summary = ", "alerts have other words"),
];

/// Alerts whose expression differs, because more kinds are watched.
const OTHER_EXPRESSION: &str = "lockstep_watch_last_contact_timestamp_seconds";

/// The leaves of what a chart renders. Lists have no places in them, so that another element changes no other leaf.
fn leaves(chart: &str, state: Option<&str>) -> BTreeSet<String> {
    let mut arguments = vec!["template", "lockstep", chart, "-n", NAMESPACE];
    arguments.extend(state.iter().flat_map(|state| ["--set-json", *state]));
    let mut leaves = BTreeSet::new();
    for object in objects(&Helm::offline().run(&arguments).unwrap()) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{} {name}", object["kind"].as_str().unwrap());
        add(&object, &path, &mut leaves);
    }
    leaves
}

fn add(value: &Value, path: &str, leaves: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                add(value, &format!("{path} {key}"), leaves);
            }
        }
        Value::Array(items) => {
            for item in items {
                let name = item["name"].as_str().map_or_else(String::new, |name| format!(" ({name})"));
                add(item, &format!("{path} []{name}"), leaves);
            }
        }
        _ => drop(leaves.insert(format!("{path} = {value}"))),
    }
}

/// The paths of the values of a chart.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                paths(value, &format!("{path}.{key}"), found);
            }
        }
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

#[test]
fn every_value_of_the_earlier_chart_means_what_it_meant() {
    let (earlier, today) = (Previous::chart(), chart(""));
    let (earlier_default, today_default) = (leaves(&earlier, None), leaves(&today, None));
    let mut wrong = BTreeMap::new();
    for state in STATES {
        let (before, after) = (leaves(&earlier, Some(state)), leaves(&today, Some(state)));
        let is_on_purpose = |leaf: &&String| {
            ON_PURPOSE.iter().any(|(part, _)| leaf.contains(part)) || leaf.contains(OTHER_EXPRESSION)
        };
        let added = before.difference(&earlier_default).filter(|leaf| !after.contains(*leaf));
        let removed = earlier_default.difference(&before);
        let kept = removed.filter(|leaf| today_default.contains(*leaf) && after.contains(*leaf));
        let differences: Vec<String> = added
            .filter(|leaf| !is_on_purpose(leaf))
            .map(|leaf| format!("no longer sets {leaf}"))
            .chain(kept.filter(|leaf| !is_on_purpose(leaf)).map(|leaf| format!("no longer removes {leaf}")))
            .collect();
        assert_ne!(before, earlier_default, "{state} changes nothing");
        if !differences.is_empty() {
            wrong.insert(*state, differences);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let values: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(format!("{earlier}/values.yaml")).unwrap()).unwrap();
    let mut all = Vec::new();
    paths(&values, "", &mut all);
    assert!(all.len() > 50, "{all:?}");
    for path in all {
        let is_set = STATES.iter().any(|state| {
            let (key, value) = state.split_once('=').unwrap();
            let mut set = Vec::new();
            paths(&serde_json::from_str(value).unwrap(), key, &mut set);
            set.iter().any(|set| set == &path || set.starts_with(&format!("{path}.")))
        });
        assert!(is_set, "no state sets `{path}`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_reuses_the_earlier_values_alone_says_what_to_do_instead() {
    let cluster = Cluster::start(Options::default()).await;
    cluster
        .helm
        .run(&[helm("install", &Previous::chart(), &[]), vec!["--create-namespace".to_owned()]].concat())
        .unwrap();
    let upgrade = ["upgrade", "lockstep", &chart(""), "-n", NAMESPACE];
    let said = cluster.helm.run(&[&upgrade[..], &["--reuse-values"]].concat()).unwrap_err();
    assert!(said.contains("is missing") && said.contains("`--reset-then-reuse-values`"), "{said}");
    cluster.helm.run(&[&upgrade[..], &["--reset-then-reuse-values"]].concat()).unwrap();
}
