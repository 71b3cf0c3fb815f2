//! `helm upgrade` and the rollout that follows it, under load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use kube::Client;
use lockstep_test_support::decision_log::{assert_whole, lines, reviews};
use lockstep_test_support::helm::{NAMESPACE, chart, objects, text};
use lockstep_test_support::load::Load;
use lockstep_test_support::objects::{LABEL, topology};
use lockstep_test_support::release::{apply, read};
use lockstep_test_support::{api, program, wait};
use serde_json::{Value, json};

use crate::house::{DecisionLog, House, LOG_ON_NODE};
use crate::refusals::Refusals;
use crate::{Previous, helm};

/// 40 admissions a second, so that each of them is recorded: callers without a client certificate have 100 records a second.
const BURSTS: &[usize] = &[4];
const EVERY: Duration = Duration::from_millis(100);

const SECRET: &str = "/api/v1/namespaces/lockstep-system/secrets/lockstep-ca";
const TOPOLOGIES: &str = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";
const WEBHOOKS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lockstep",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep",
];

/// The load: pods that are placed, and advertisements that are denied.
struct Asked {
    pods: Load,
    refusals: Refusals,
}

impl Asked {
    fn start(client: &Client) -> Self {
        Self { pods: Load::start(client.clone(), BURSTS, EVERY), refusals: Refusals::start(client.clone()) }
    }

    /// Asserts that each answer was right. Returns the number of pods that were placed, and of advertisements that were denied.
    async fn end(self, what: &str) -> (usize, usize) {
        let (pods, (denied, others)) = (self.pods.end().await, self.refusals.end().await);
        println!(
            "evidence: {what}: {} pods placed, {denied} advertisements denied, in {:.1} s; {} failed, {} unchecked",
            pods.placed(),
            pods.took.as_secs_f64(),
            pods.failed().count() + others.len(),
            pods.unchecked(),
        );
        assert_eq!((pods.reasons(), pods.unchecked()), (BTreeSet::new(), 0), "{what}");
        assert_eq!(others, Vec::<String>::new(), "{what}");
        assert!(pods.placed() > 50 && denied > 10, "{what}: there was no load");
        (pods.placed(), denied)
    }
}

/// The certificates in a `caBundle`.
fn certificates(bundle: &Value) -> BTreeSet<String> {
    let pem =
        String::from_utf8(BASE64_STANDARD.decode(bundle.as_str().unwrap_or_default()).unwrap()).unwrap();
    pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

/// Asserts that every webhook trusts what it trusted before the upgrade.
async fn assert_trusted(admin: &Client, before: &Value) {
    let ca = certificates(&before["data"]["ca.crt"]);
    assert!(!ca.is_empty(), "{before}");
    assert_eq!(read(admin, SECRET).await["data"], before["data"], "the CA is another one");
    for path in WEBHOOKS {
        let is_trusted = wait::until_so(async || {
            let stored = read(admin, path).await;
            let mut webhooks = stored["webhooks"].as_array().unwrap().iter();
            webhooks.all(|it| certificates(&it["clientConfig"]["caBundle"]).is_superset(&ca))
        });
        assert!(is_trusted.await, "{path}: {}", read(admin, path).await);
    }
}

/// The topologies: name, uid and spec.
async fn topologies(admin: &Client) -> Vec<[Value; 3]> {
    let list = read(admin, TOPOLOGIES).await;
    let of = |it: &Value| [it["metadata"]["name"].clone(), it["metadata"]["uid"].clone(), it["spec"].clone()];
    list["items"].as_array().unwrap().iter().map(of).collect()
}

/// Waits until a topology has these conditions.
async fn until_conditions(admin: &Client, name: &str, wanted: &[(&str, &str)]) {
    let path = format!("{TOPOLOGIES}/{name}");
    let has = |stored: &Value, kind: &str, status: &str| {
        let conditions = stored["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|it| it["type"] == kind && it["status"] == status))
    };
    let all = wait::until_so(async || {
        let stored = read(admin, &path).await;
        wanted.iter().all(|(kind, status)| has(&stored, kind, status))
    });
    assert!(all.await, "{wanted:?}: {}", read(admin, &path).await["status"]);
}

/// Applies the definition of this commit, as docs/operation.md, "Upgrade", says.
async fn apply_definition(admin: &Client) {
    let definition = objects(&text("crds/gatewaytopologies.yaml")).remove(0);
    let answer = apply(admin, &definition, "kubectl", "&force=true").await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

/// Asserts that what Helm stored has the user's values.
async fn assert_values(admin: &Client) {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/lockstep");
    let deployment = read(admin, &path).await;
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "network");
    assert_eq!(template["metadata"]["annotations"]["example.org/owner"], "pods");
    let spec = &template["spec"];
    assert_eq!(spec["priorityClassName"], "system-cluster-critical");
    assert_eq!(spec["tolerations"][0]["key"], "node-role.kubernetes.io/control-plane");
    let container = &spec["containers"][0];
    let resources = json!({"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}});
    assert_eq!(container["resources"], resources);
    assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], 1);
    let arguments = container["args"].to_string();
    for argument in ["--ca-lifetime=7776000", "--leaf-lifetime=259200", "--ca-propagation=30", "--drain=3"] {
        assert!(arguments.contains(&format!("{argument:?}")), "{argument}: {arguments}");
    }
    let policy =
        read(admin, &format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/lockstep"))
            .await;
    assert!(policy.to_string().contains("192.0.2.0/24") && policy.to_string().contains("6443"), "{policy}");
    for path in WEBHOOKS {
        let configuration = read(admin, path).await;
        assert_eq!(configuration["metadata"]["annotations"]["example.org/owner"], "network");
        for webhook in configuration["webhooks"].as_array().unwrap() {
            let namespaces = webhook["namespaceSelector"]["matchExpressions"][0]["values"].clone();
            if webhook["name"].as_str().unwrap().starts_with("gateways.") {
                assert_eq!(webhook["timeoutSeconds"], 7);
                assert_eq!(namespaces, json!(["edge", "istio-system", "others"]));
            }
        }
    }
}

/// Asserts that each log is one whole, and that all together have each denial and each edit. Returns how many chains follow another one.
fn assert_recorded(logs: &[PathBuf], answers: &[(usize, usize)]) -> usize {
    let placed: usize = answers.iter().map(|(placed, _)| placed).sum();
    let denied: usize = answers.iter().map(|(_, denied)| denied).sum();
    let (mut recorded, mut continued) = (Vec::new(), 0);
    for log in logs {
        assert_whole(&[log]);
        let text = std::fs::read_to_string(log).unwrap();
        recorded.extend(reviews(&text));
        let all = lines(&text);
        for (before, line) in all.iter().zip(all.iter().skip(1)) {
            if before["event"] == "ended" && line["event"] == "started" && line["previous"] == before["hash"]
            {
                continued += 1;
            }
        }
    }
    let of = |name: &str, verb: &str| {
        let uids: BTreeSet<&str> = recorded
            .iter()
            .filter(|record| record["name"] == name && record["verdict"] == verb)
            .map(|record| record["uid"].as_str().unwrap())
            .collect();
        uids.len()
    };
    let denials = of("everywhere", "deny");
    assert!(denials >= denied, "{denials} of {denied} denials are recorded: {:#}", recorded[0]);
    let edits: usize = (0..BURSTS[0]).map(|pod| of(&format!("pod-{pod}"), "edit")).sum();
    assert!(edits >= placed, "{edits} of {placed} edits are recorded: {:#}", recorded[0]);
    println!(
        "evidence: {} decision logs, {} records, {continued} chains that continue another one",
        logs.len(),
        recorded.len()
    );
    continued
}

/// A topology that somebody created beside the release, with every field of the earlier release.
fn of_others() -> Value {
    topology(
        "of-others",
        &json!({
            "gateway": {"namespace": "others", "podLabels": {"app": "others"}},
            "placement": {"nodeSelector": {"example.org/others": "true"}, "onConflict": "Deny"},
            "addressPools": ["others-pool"],
            "announcements": {"match": "LiveNodes"},
            "metallbNamespace": "metallb-system",
            "enforcement": "Audit",
            "enforcementByRule": {"gateway-placement": "Warn"},
        }),
    )
}

async fn upgrade(decision_log: DecisionLog, more: &[&str]) {
    let log_values = [
        "--set".to_owned(),
        "audit.enabled=false".to_owned(),
        "--set".to_owned(),
        format!("extraArgs={{--stale-after=120,--audit-log={LOG_ON_NODE}}}"),
    ];
    let mut more = more.to_vec();
    if decision_log == DecisionLog::OnTheNode {
        more.extend(log_values.iter().map(String::as_str));
    }
    let install = helm("install", &Previous::chart(), &more);
    let mut house = House::start(&install, &Previous::program(), decision_log).await;
    let admin = house.admin.clone();
    let before = wait::until_some(async || {
        let secret = read(&admin, SECRET).await;
        secret["data"]["ca.crt"].is_string().then_some(secret)
    });
    let before = before.await.expect("the earlier release has a CA");
    assert_trusted(&admin, &before).await;
    api::create(&admin, &of_others()).await;
    for port in house.admin_ports() {
        wait::until_enforced(&port, 3).await;
    }
    let stored = topologies(&admin).await;
    assert_eq!(stored.len(), 3);
    until_called(&admin).await;

    let asked = Asked::start(&admin);
    house.cluster.helm.run(&helm("upgrade", &chart(""), &more)).unwrap();
    house.roll_out(&program()).await;
    let mut answers = vec![asked.end("upgrade").await];
    assert_trusted(&admin, &before).await;
    assert_eq!(topologies(&admin).await, stored);
    assert_values(&admin).await;

    let asked = Asked::start(&admin);
    house.cluster.helm.run(&["rollback", "lockstep", "1", "-n", NAMESPACE]).unwrap();
    house.roll_out(&Previous::program()).await;
    answers.push(asked.end("rollback").await);
    assert_trusted(&admin, &before).await;
    assert_eq!(topologies(&admin).await, stored);

    let asked = Asked::start(&admin);
    house.cluster.helm.run(&helm("upgrade", &chart(""), &more)).unwrap();
    house.roll_out(&program()).await;
    apply_definition(&admin).await;
    for name in ["istio-ingressgateway", "edge", "of-others"] {
        until_conditions(&admin, name, &[("Guarded", "True"), ("Stalled", "False")]).await;
    }
    let right = [("Aligned", "True"), ("SourceIPPreserved", "True"), ("Resilient", "True")];
    until_conditions(&admin, "istio-ingressgateway", &right).await;
    answers.push(asked.end("second upgrade, and the definition").await);
    assert_trusted(&admin, &before).await;
    assert_kept(&stored, &topologies(&admin).await);
    house.end().await;

    let continued = assert_recorded(&house.logs(), &answers);
    // On standard output, every process begins a chain of its own.
    assert_eq!(continued > 0, decision_log == DecisionLog::OnTheNode, "{continued}");
}

/// Waits until the API server calls the release.
async fn until_called(admin: &Client) {
    let is_called = wait::until_so(async || {
        let answer = api::post(admin, &lockstep_test_support::objects::gateway_pod("first"), true).await;
        answer.status == StatusCode::CREATED && answer.body["spec"]["nodeSelector"][LABEL] == "arp"
    });
    assert!(is_called.await, "the earlier release is not called");
}

/// Asserts that topologies have every field that they had; the new definition adds defaults.
fn assert_kept(before: &[[Value; 3]], after: &[[Value; 3]]) {
    assert_eq!(before.len(), after.len());
    for ([name, uid, spec], [name_after, uid_after, spec_after]) in before.iter().zip(after) {
        assert_eq!((name, uid), (name_after, uid_after));
        assert!(holds(spec_after, spec), "{name}: {spec} became {spec_after}");
    }
}

/// Whether a value has every field of another one.
fn holds(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| holds(value, part)))
        }
        _ => value == part,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_and_a_rollback_lose_no_admission_topology_ca_or_record() {
    upgrade(DecisionLog::OnTheNode, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_and_a_rollback_by_client_side_patches_lose_nothing_either() {
    upgrade(DecisionLog::Collected, &["--server-side=false"]).await;
}

#[test]
fn the_earlier_program_is_another_one() {
    let is_same = |path: &Path| std::fs::read(path).unwrap() == std::fs::read(program()).unwrap();
    assert!(!is_same(&Previous::program()));
}
