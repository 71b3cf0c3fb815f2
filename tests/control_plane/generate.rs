//! `lockstep generate` on a real API server, with kubectl: what it proposes and what its commands make of the objects is accepted by
//! `lockstep check --strict`.

use lockstep_test_support::api::create;
use lockstep_test_support::control_plane::MetalLb;
use lockstep_test_support::objects;
use lockstep_test_support::shell::{Shell, said};
use lockstep_test_support::state::put;
use serde_json::{Value, json};

use super::states::start;

#[track_caller]
fn run(shell: &Shell, script: &str, code: i32) -> String {
    let output = shell.run(script);
    let said = said(&output);
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
    let shell = Shell::on(&control_plane);

    let proposed = run(&shell, "lockstep generate", 1);
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
    run(&shell, write, 0);
    run(&shell, "kubectl apply -f topologies.yaml", 0);
    let denied = run(&shell, judge, 1);
    assert!(denied.contains("topology `gateway`") && denied.contains("topology `traefik`"), "{denied}");
    run(&shell, "sh -e commands.sh", 0);
    run(&shell, judge, 0);
    let again = run(&shell, "lockstep generate", 0);
    assert_eq!(again.matches("exists already").count(), 2, "{again}");
    assert_eq!(again.matches("# Nothing is missing").count(), 2, "{again}");
    assert!(!again.contains("kind:"), "{again}");
}
