//! `lockstep check --cluster` and completions on a real API server: what is read of it, with the reader's rights.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use lockstep_test_support::api::create;
use lockstep_test_support::control_plane::{ControlPlane, MetalLb, kubectl};
use lockstep_test_support::objects;
use lockstep_test_support::state::put;
use serde_json::{Value, json};

use super::states::start;

fn lockstep(control_plane: &ControlPlane, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.args(arguments).env("KUBECONFIG", control_plane.kubeconfig_path());
    command
}

fn check(control_plane: &ControlPlane, arguments: &[&str], object: &Value) -> (Option<i32>, Value) {
    let mut command = lockstep(control_plane, &["check", "-o", "json", "-"]);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_are_judged_by_the_topologies_and_pools_of_the_cluster() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let spec = json!({"placement": {"nodeSelector": {"zone": "edge"}}});
    create(&client, &objects::topology("edge", &spec)).await;
    let pool = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": "default-pool", "namespace": "metallb-system"}, "spec": {"addresses": ["192.0.2.0/28"]},
    });
    put(&client, &[pool, objects::node("a", &json!({"zone": "edge"}))]).await;
    let of_built_in = objects::right_advertisement("l2");
    let mut of_cluster = objects::right_advertisement("l2");
    of_cluster["spec"]["nodeSelectors"] = json!([{"matchLabels": {"zone": "edge"}}]);
    for (arguments, allowed, denied, topology) in [
        (&[][..], &of_built_in, &of_cluster, "istio-ingressgateway"),
        (&["--cluster"], &of_cluster, &of_built_in, "edge"),
    ] {
        let (code, report) = check(&control_plane, arguments, allowed);
        assert_eq!((code, &report["topologies"][0]["name"]), (Some(0), &json!(topology)), "{report}");
        let (code, report) = check(&control_plane, arguments, denied);
        assert_eq!((code, &report["objects"][0]["verdict"]), (Some(1), &json!("deny")), "{report}");
        // The objects of the cluster are not judged.
        assert_eq!(report["summary"]["judged"], 1, "{report}");
    }
}

/// Runs `check` without a file.
fn preflight(control_plane: &ControlPlane, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = lockstep(control_plane, &["check", "-o", "json"]).args(arguments).output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// The verdicts of a report that are not `allow`, as `verdict kind name codes`, in order.
fn refused(report: &Value) -> Vec<String> {
    let objects = report["objects"].as_array().unwrap().iter();
    let mut refused: Vec<String> = objects
        .filter(|object| object["verdict"] != "allow" || !object["findings"].as_array().unwrap().is_empty())
        .map(|object| {
            let text = |field: &str| object[field].as_str().unwrap().to_owned();
            let codes =
                object["findings"].as_array().unwrap().iter().map(|it| it["reason"].as_str().unwrap());
            format!(
                "{} {} {} {}",
                text("verdict"),
                text("kind"),
                text("name"),
                codes.collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    refused.sort();
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_enforcement_the_cluster_shows_what_it_would_refuse_today() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let labels = objects::gateway_labels();
    let workload = |name: &str, value: &str| {
        let spec = json!({"nodeSelector": {objects::LABEL: value}, "containers": [{"name": "proxy", "image": "istio/proxyv2"}]});
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "istio-system"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    };
    let pool = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": "default-pool", "namespace": "metallb-system"}, "spec": {"addresses": ["192.0.2.0/28"]},
    });
    // A pod of a Deployment, on a node that it would not get today.
    let mut owned = objects::gateway_pod("owned");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "5e3e8b7a-6f0e-4c39-9b53-53f2f9a0b0d1"}]);
    owned["spec"]["nodeName"] = json!("other");
    let mut bound = objects::gateway_pod("bound");
    bound["spec"]["nodeName"] = json!("other");
    put(
        &client,
        &[
            objects::node("gateway", &json!({objects::LABEL: "arp"})),
            objects::node("other", &json!({})),
            pool,
            objects::wide_advertisement("everywhere"),
            workload("right", "arp"),
            workload("wrong", "ndp"),
            owned,
            bound,
            objects::service("gateway"),
        ],
    )
    .await;
    create(&client, &objects::topology("edge", &json!({"enforcement": "Warn"}))).await;

    let (code, report) = preflight(&control_plane, &["--cluster"]);
    assert_eq!(code, Some(0), "a topology that warns refuses nothing: {report}");
    let (code, report) = preflight(&control_plane, &["--cluster", "--enforce"]);
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(
        refused(&report),
        [
            "deny Deployment wrong CONFLICT",
            "deny L2Advertisement everywhere WIDER",
            "edit Pod bound ",
            "edit Service gateway MADE_LOCAL",
        ],
        "{report:#}"
    );
    // Before the topology is in the cluster, its manifest is a fact.
    assert!(
        lockstep_test_support::api::delete(&client, &objects::topology("edge", &json!({})))
            .await
            .status
            .is_success()
    );
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("topology.yaml");
    let edge = json!({"gateway": {"namespace": "edge", "podLabels": {"app": "edge"}}});
    std::fs::write(&manifest, objects::topology("edge", &edge).to_string()).unwrap();
    create(&client, &objects::namespace("edge")).await;
    let mut pod = objects::pod("edge", "gateway", &json!({"app": "edge"}));
    pod["spec"]["nodeSelector"] = json!({objects::LABEL: "ndp"});
    create(&client, &pod).await;
    let arguments = ["--cluster", "--facts", manifest.to_str().unwrap()];
    let (code, report) = preflight(&control_plane, &arguments);
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(refused(&report)[0], "deny L2Advertisement everywhere WIDER", "{report:#}");
    assert_eq!(refused(&report)[1], "deny Pod gateway CONFLICT", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespaces_of_the_cluster_are_completed() {
    let (control_plane, _) = start(None).await;
    for command in [["check", "-n"], ["explain", "--namespace"]] {
        let line = ["--", "lockstep", command[0], command[1], "istio"];
        let output = lockstep(&control_plane, &line).env("LOCKSTEP_COMPLETE", "fish").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "istio-system\n", "{command:?}");
    }
}

#[test]
fn kubectl_completes_the_plugin_and_passes_the_cluster_on() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let program = env!("CARGO_BIN_EXE_lockstep");
    std::os::unix::fs::symlink(program, here.join("lockstep")).unwrap();
    std::os::unix::fs::symlink(program, here.join("kubectl-lockstep")).unwrap();
    let script = Command::new(program).args(["completions", "kubectl"]).output().unwrap().stdout;
    let completer = here.join("kubectl_complete-lockstep");
    std::fs::write(&completer, script).unwrap();
    std::fs::set_permissions(&completer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = here.join("config");
    std::fs::write(
        &kubeconfig,
        "apiVersion: v1\nkind: Config\ncontexts: [{name: west-2, context: {cluster: c, user: u}}]\n",
    )
    .unwrap();
    let path = format!("{}:{}", here.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(kubectl().unwrap());
        let output =
            command.args(arguments).env("PATH", &path).env("KUBECONFIG", &kubeconfig).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for (line, candidate) in [
        (&["__complete", "lockstep", "expl"][..], "explain\t"),
        (&["__complete", "lockstep", "check", "-o", "mark"], "markdown\t"),
        (&["__complete", "lockstep", "status", "--context", "we"], "west-2"),
    ] {
        let (_, out, _) = run(line);
        assert!(out.starts_with(candidate) && out.ends_with(":4\n"), "{line:?}: {out}");
    }
    // The context is read, wherever it stands.
    for line in
        [["lockstep", "--context", "no-such", "status"], ["lockstep", "status", "--context", "no-such"]]
    {
        let (code, _, err) = run(&line);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("no-such"), "{err}");
    }
}
