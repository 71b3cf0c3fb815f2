//! `lockstep generate` on a real API server, with kubectl: what it proposes and what its commands make of the objects is accepted by
//! `lockstep check --strict`.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use lockstep_test_support::api::create;
use lockstep_test_support::control_plane::{ControlPlane, MetalLb, kubectl};
use lockstep_test_support::objects;
use lockstep_test_support::state::put;
use serde_json::{Value, json};

use super::states::start;

fn run(script: &str, folder: &Path, control_plane: &ControlPlane) -> Output {
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-e", "-o", "pipefail", "-c", script]).current_dir(folder);
    shell.env("PATH", format!("{}:{path}", folder.display()));
    shell.env("KUBECONFIG", control_plane.kubeconfig_path()).output().unwrap()
}

#[track_caller]
fn run_with(script: &str, code: i32, folder: &Path, control_plane: &ControlPlane) -> String {
    let output = run(script, folder, control_plane);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{script}: {said}");
    said
}

fn deployment(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "proxy", "image": "proxy"}]},
            },
        },
    })
}

/// Two gateways in two namespaces: of one, nothing is right, and of the other, a label and an advertisement are there already.
fn world() -> Vec<Value> {
    let traefik = json!({"app.kubernetes.io/name": "traefik"});
    let edge = json!({"app": "edge-gateway", "on": "yes"});
    let service = |namespace: &str, name: &str, selector: &Value, pool: Option<&str>| {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "LoadBalancer", "selector": selector, "ports": [{"port": 443}]},
        });
        if let Some(pool) = pool {
            service["metadata"]["annotations"] = json!({"metallb.io/address-pool": pool});
        }
        service
    };
    let pool = |name: &str, addresses: &str| {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": name, "namespace": "metallb-system"}, "spec": {"addresses": [addresses]},
        })
    };
    let mut pod = objects::pod("traefik", "traefik-1", &traefik);
    pod["spec"]["nodeName"] = json!("n2");
    vec![
        objects::node("n1", &json!({"zone": "edge"})),
        objects::node("n2", &json!({})),
        pool("front", "192.0.2.0/28"),
        pool("web", "198.51.100.0/28"),
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
            "metadata": {"name": "front", "namespace": "metallb-system"},
            "spec": {"ipAddressPools": ["front"], "nodeSelectors": [{"matchLabels": {"zone": "edge"}}]},
        }),
        service("edge", "gateway", &edge, Some("front")),
        deployment("edge", "gateway", &edge),
        service("traefik", "traefik", &traefik, Some("web")),
        deployment("traefik", "traefik", &traefik),
        pod,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_holds_once_its_commands_have_run() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    for name in ["edge", "traefik"] {
        create(&client, &objects::namespace(name)).await;
    }
    put(&client, &world()).await;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    symlink(env!("CARGO_BIN_EXE_lockstep"), here.join("lockstep")).unwrap();
    symlink(kubectl().unwrap(), here.join("kubectl")).unwrap();

    let proposed = run_with("lockstep generate", 1, here, &control_plane);
    assert!(proposed.contains("# The gateway behind Service edge/gateway\n"), "{proposed}");
    assert!(proposed.contains("      zone: edge\n"), "{proposed}");
    assert!(proposed.contains("no advertisement announces pool `web`"), "{proposed}");
    assert!(
        proposed.contains("kubectl label node n2 --overwrite loadbalancerIPs.metallb.io=arp"),
        "{proposed}"
    );
    let judge = "kubectl get gwt,nodes,svc,deploy,ipaddresspools,l2advertisements -A -o yaml | lockstep check --strict -";
    // The exit code of `generate` is 1, because something is missing.
    let write = "lockstep generate > topologies.yaml || test $? = 1; lockstep generate -o shell > commands.sh || test $? = 1";
    run_with(write, 0, here, &control_plane);
    run_with("kubectl apply -f topologies.yaml", 0, here, &control_plane);
    let denied = run_with(judge, 1, here, &control_plane);
    assert!(denied.contains("topology `gateway`") && denied.contains("topology `traefik`"), "{denied}");
    run_with("sh -e commands.sh", 0, here, &control_plane);
    run_with(judge, 0, here, &control_plane);
    let again = run_with("lockstep generate", 0, here, &control_plane);
    assert_eq!(again.matches("exists already").count(), 2, "{again}");
    assert_eq!(again.matches("# Nothing is missing").count(), 2, "{again}");
    assert!(!again.contains("kind:"), "{again}");
}
