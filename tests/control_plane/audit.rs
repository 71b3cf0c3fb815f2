//! On a real API server: the decision log and the API server's own audit log agree on every review.

use std::collections::BTreeSet;
use std::path::Path;

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::{Value, json};

use lockstep_test_support::api::{create, post};
use lockstep_test_support::control_plane::{AuditLevel, ControlPlane, MetalLb, Options};
use lockstep_test_support::decision_log::{assert_whole, audit, reviews, verify};
use lockstep_test_support::objects::{
    self, gateway_pod, pod, right_advertisement, service, wide_advertisement,
};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;

const USERS: [&str; 3] = ["admin", "alice", "bob"];
const ADMISSIONS: usize = 1000;
const IN_FLIGHT: usize = 8;

/// The fields of a review that both logs have: uid, webhook, user, groups, verdict, rule, reason, topology, namespace.
type Known = [String; 9];

fn known<const N: usize>(texts: [&str; N]) -> [String; N] {
    texts.map(str::to_owned)
}

/// Returns one of the admissions and its verdict; `None` if no rule has a finding.
fn admission(number: usize) -> (Value, Option<&'static str>) {
    let name = format!("number-{number}");
    match number % 6 {
        0 => (gateway_pod(&name), Some("edit")),
        1 => {
            let mut pod = gateway_pod(&name);
            pod["spec"]["nodeSelector"] = json!({objects::LABEL: "none"});
            (pod, Some("deny"))
        }
        2 => (wide_advertisement(&name), Some("deny")),
        3 => (service(&name), Some("edit")),
        4 => (right_advertisement(&name), None),
        _ => (pod("istio-system", &name, &json!({"app": "istiod"})), None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_decision_log_agrees_with_the_api_servers_audit_log_and_changes_are_found() {
    let control_plane =
        ControlPlane::start_with(Options::default().audit(AuditLevel::Metadata)).await.unwrap();
    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    webhook::furnish(&client).await;
    create(&client, &objects::topology("ingress", &json!({}))).await;
    grant_everything(&client).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let arguments = ["--drain", "0", "--audit-log", path.to_str().unwrap()];
    let mut serve = Serve::start(&arguments, Some(control_plane.kubeconfig_path())).await;
    wait::until_enforced(&serve.admin, 1).await;
    let probe = pod("default", "probe", &json!({}));
    webhook::register_and_wait(&client, &serve.webhook, &serve.ca_pem, &serve.admin, &[probe]).await;

    let mut clients = Vec::new();
    for user in USERS {
        clients.push(control_plane.client_as(user).await.unwrap());
    }
    let admissions = stream::iter(0..ADMISSIONS).map(|number| {
        let client = &clients[number % USERS.len()];
        async move {
            let (object, verdict) = admission(number);
            let answer = post(client, &object, number % 4 == 0).await;
            let status = if verdict == Some("deny") { 403 } else { 201 };
            assert_eq!(answer.status, status, "{object}: {}", answer.body);
        }
    });
    admissions.buffer_unordered(IN_FLIGHT).collect::<Vec<()>>().await;
    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));

    let text = std::fs::read_to_string(&path).unwrap();
    let decisions = reviews(&text);
    let decided: BTreeSet<Known> = decisions.iter().map(of_decision).collect();
    assert_eq!(decided.len(), decisions.len(), "a review is recorded twice");
    let spoken = (0..ADMISSIONS).filter(|number| admission(*number).1.is_some()).count();
    assert_eq!(decisions.len(), spoken, "each of these admissions has a verdict from one webhook");
    let of_api_server = events(control_plane.audit_log().unwrap(), decided.len()).await;
    assert_eq!(of_api_server.len(), decided.len());
    assert_eq!(of_api_server.into_iter().collect::<BTreeSet<_>>(), decided);
    for decision in &decisions {
        assert_eq!(decision["topology"], json!({"name": "ingress", "generation": 1}), "{decision}");
        assert!(decision["facts"]["snapshot"].as_u64().unwrap() > 0, "{decision}");
    }

    assert_eq!(assert_whole(&[&path])["records"], decisions.len());
    counts_are_right(&path);
    touched_lines_are_found(&path, &text);
}

async fn grant_everything(client: &Client) {
    let group = "rbac.authorization.k8s.io";
    let object = |kind: &str| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "tests"}});
    let mut role = object("ClusterRole");
    role["rules"] = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    create(client, &role).await;
    let mut binding = object("ClusterRoleBinding");
    binding["roleRef"] = json!({"apiGroup": group, "kind": "ClusterRole", "name": "tests"});
    let subject = |name: &str| json!({"apiGroup": group, "kind": "User", "name": name});
    binding["subjects"] = json!([subject("alice"), subject("bob")]);
    create(client, &binding).await;
}

fn of_decision(decision: &Value) -> Known {
    let text = |field: &str| decision[field].as_str().unwrap_or_default();
    let groups = decision["groups"].to_string();
    let topology = decision["topology"]["name"].as_str().unwrap();
    known([
        text("uid"),
        text("webhook"),
        text("user"),
        &groups,
        text("verdict"),
        text("rule"),
        text("reason"),
        topology,
        text("namespace"),
    ])
}

/// Returns the reviews in an event of the API server's audit log. The id of the event is not the uid of a review, so
/// the webhook adds the uid as an annotation.
fn of_event(event: &Value) -> Vec<Known> {
    let said = |webhook: &str| -> Option<Known> {
        let text = |key: &str| event["annotations"][format!("{webhook}.lockstep.dev/{key}")].as_str();
        let uid = text("uid")?;
        let is_denied = event["responseStatus"]["code"] == 403;
        assert_eq!(text("verdict") == Some("deny"), is_denied, "{event}");
        let groups = event["user"]["groups"].to_string();
        Some(known([
            uid,
            webhook,
            event["user"]["username"].as_str()?,
            &groups,
            text("verdict")?,
            text("rule")?,
            text("reason")?,
            text("topology")?,
            event["objectRef"]["namespace"].as_str()?,
        ]))
    };
    ["mutate", "validate"].into_iter().filter_map(said).collect()
}

/// Reads the API server's audit log until it has this many reviews: the API server writes an event after it has
/// responded.
async fn events(log: &Path, expected: usize) -> Vec<Known> {
    let mut found = Vec::new();
    let is_complete = async || {
        let text = std::fs::read_to_string(log).unwrap();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = events.flat_map(|event| of_event(&event)).collect();
        found.len() >= expected
    };
    // The caller asserts what is missing.
    wait::until_so(is_complete).await;
    found
}

fn counts_are_right(path: &Path) {
    let output = audit(&["query", "--by", "user,verdict", "--format", "json"], &[path]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in document["counts"].as_array().unwrap() {
        let (user, verdict) = (row["by"][0].as_str().unwrap(), row["by"][1].as_str().unwrap());
        let is_of =
            |number: &usize| USERS[number % USERS.len()] == user && admission(*number).1 == Some(verdict);
        assert_eq!(row["count"], (0..ADMISSIONS).filter(is_of).count(), "{row}");
    }
    let found = |arguments: &[&str]| {
        let all = [&["query", "--format", "lines"], arguments].concat();
        String::from_utf8(audit(&all, &[path]).stdout).unwrap().lines().count()
    };
    let all = found(&[]);
    assert_eq!(found(&["--since", "2h"]), all);
    assert_eq!(found(&["--until", "2h"]), 0);
    assert_eq!(found(&["--dry-run"]) + found(&["--dry-run=false"]), all);
    assert_eq!(found(&["--user", "alice", "--user", "bob"]) + found(&["--user", "admin"]), all);
    assert_eq!(found(&["--group", "system:masters"]), found(&["--user", "admin"]));
    assert_eq!(found(&["--reason", "WIDER"]), found(&["--kind", "L2Advertisement"]));
    assert_eq!(found(&["--namespace", "metallb-system"]), found(&["--rule", "announcement-placement"]));
}

fn touched_lines_are_found(path: &Path, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let touched = |touch: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        touch(&mut lines);
        let other = path.with_extension("touched");
        std::fs::write(&other, lines.concat()).unwrap();
        let (code, report) = verify(&[], &[&other]);
        assert_eq!(code, 1);
        let problem = &report["problems"][0];
        assert_eq!(problem["file"], other.to_str().unwrap());
        (problem["line"].as_u64().unwrap(), problem["kind"].as_str().unwrap().to_owned())
    };
    let changed = touched(&|lines| {
        // Replaces the user of a record.
        let at = lines[499].find("\"user\":\"").unwrap() + 8;
        lines[499].replace_range(at..=at, "x");
    });
    assert_eq!(changed, (500, "changed".to_owned()));
    let removed = touched(&|lines| drop(lines.remove(299)));
    assert_eq!(removed, (300, "missing".to_owned()));
    let swapped = touched(&|lines| lines.swap(199, 599));
    assert_eq!(swapped, (200, "missing".to_owned()));
    let neighbours = touched(&|lines| lines.swap(199, 200));
    assert_eq!(neighbours, (200, "missing".to_owned()));
}
