//! The program as the chart starts it: with the arguments of the Deployment and the token of the ServiceAccount.

use std::collections::BTreeSet;

use axum::http::Method;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::Client;
use lockstep::cluster::topology_status::{self, TopologyStatuses};
use lockstep::topology::GUARDED;
use serde_json::{Value, json};

use super::alerts;
use lockstep_test_support::api::{self, call};
use lockstep_test_support::control_plane::{AuditLevel, MetalLb, Options, ReportKinds};
use lockstep_test_support::helm::{NAMESPACE, objects, the};
use lockstep_test_support::https::{Connection, get, trusting};
use lockstep_test_support::objects::{LABEL, gateway_pod, namespace, node, topology};
use lockstep_test_support::release::{Cluster, apply, arguments, read};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::service_account::{Account, Grant, USER, granted, qualified};
use lockstep_test_support::wait;

/// The API server of this test calls a loopback address, so the certificates must be valid for it.
const VALUES: &[&str] = &["--set", "extraArgs={--tls-name=127.0.0.1,--tls-name=localhost}"];

/// Points the webhook configurations at the process, which has no Service. Their rules and the CA that the process has
/// written stay. Returns the CA.
async fn redirect(client: &Client, address: &str) -> String {
    let mut bundle = String::new();
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep");
        let webhooks = wait::until_some(async || {
            let webhooks = read(client, &path).await["webhooks"].as_array().unwrap().clone();
            let is_given = |webhook: &Value| webhook["clientConfig"]["caBundle"].is_string();
            webhooks.iter().all(is_given).then_some(webhooks)
        });
        let webhooks = webhooks.await.expect("every webhook gets a `caBundle`");
        bundle = webhooks[0]["clientConfig"]["caBundle"].as_str().unwrap().to_owned();
        let replace = |(index, webhook): (usize, &Value)| {
            let config = &webhook["clientConfig"];
            let url = format!("https://{address}{}", config["service"]["path"].as_str().unwrap());
            let config = json!({"url": url, "caBundle": bundle});
            json!({"op": "replace", "path": format!("/webhooks/{index}/clientConfig"), "value": config})
        };
        let patch: Vec<Value> = webhooks.iter().enumerate().map(replace).collect();
        let answer = call(client, Method::PATCH, &path, "application/json-patch+json", &json!(patch)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
    String::from_utf8(BASE64_STANDARD.decode(bundle).unwrap()).unwrap()
}

/// Returns the rights that the account has used, from the audit log.
fn used(cluster: &Cluster) -> BTreeSet<Grant> {
    let log = std::fs::read_to_string(cluster.control_plane.audit_log().unwrap()).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .filter(|event| event["user"]["username"] == USER && event["objectRef"].is_object())
        .map(|event| {
            assert!(event["responseStatus"]["code"].as_u64().unwrap_or(200) != 403, "refused: {event}");
            let object = &event["objectRef"];
            let resource = [text(&object["resource"]), text(&object["subresource"])];
            let resource = qualified(resource.join("/").trim_end_matches('/'), &text(&object["apiGroup"]));
            Grant {
                namespace: text(&object["namespace"]),
                resource,
                name: text(&object["name"]),
                verb: text(&event["verb"]),
            }
        })
        .collect()
}

/// Whether a grant allows a request.
fn covers(grant: &Grant, done: &Grant) -> bool {
    (grant.namespace.is_empty() || grant.namespace == done.namespace)
        && (grant.name.is_empty() || grant.name == done.name)
        && grant.resource == done.resource
        && grant.verb == done.verb
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_runs_with_the_charts_flags_and_uses_every_right() {
    let cluster = Cluster::start(Options::default().audit(AuditLevel::Metadata)).await;
    let client = cluster.client().await;
    cluster.control_plane.install_reports(ReportKinds::PolicyReports).await.unwrap();
    cluster.install(VALUES);
    let account = Account::of(&cluster).await;
    let deployment = read(&client, "/apis/apps/v1/namespaces/lockstep-system/deployments/lockstep").await;
    let arguments = arguments(&deployment);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let serve = Serve::start(&arguments, Some(&account.kubeconfig())).await;
    wait::until_ready(&serve.admin).await;

    // Istio and MetalLB are installed after Lockstep.
    cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        api::create(&client, &namespace(name)).await;
    }
    wait::until_enforced(&serve.admin, 1).await;
    let ca = redirect(&client, &serve.webhook).await;
    wait::until(&serve.admin, "/metrics", |_, text| {
        text.contains("lockstep_objects{kind=\"L2Advertisement\"} 0\n")
    })
    .await;
    placed(&client).await;
    judged(&client).await;

    exported(&serve, &ca).await;
    // An Event that repeats is patched.
    for (policy, status) in [("Ignore", "False"), ("Fail", "True"), ("Ignore", "False"), ("Fail", "True")] {
        fails(&client, policy).await;
        until_guarded(&client, status).await;
    }
    helm_test_succeeds(&cluster, &account).await;
    reported(&cluster, &client).await;
    let manifest = cluster.helm.run(&["get", "manifest", "lockstep", "-n", NAMESPACE]).unwrap();
    let mut granted = granted(&objects(&manifest));
    // This MetalLB does not serve the kind, so that it is listed only.
    granted.retain(|grant| {
        (grant.resource.as_str(), grant.verb.as_str()) != ("addresspools.metallb.io", "watch")
    });
    for done in &until_used(&cluster, &granted).await {
        assert!(
            granted.iter().any(|grant| covers(grant, done)),
            "not granted, or not by the chart: {done:?}"
        );
    }
}

/// Asserts that the topology has a report of each kind in turn, which follows what is found, and goes with the topology.
async fn reported(cluster: &Cluster, client: &Client) {
    const OPEN: &str = "/apis/openreports.io/v1alpha1/clusterreports";
    const POLICY: &str = "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports";
    until_report(client, POLICY, Some("NO_GATEWAY_NODE")).await;
    api::create(client, &node("gateway-node", &json!({LABEL: "arp"}))).await;
    until_report(client, POLICY, Some("NO_SPEAKER")).await;
    cluster.control_plane.install_reports(ReportKinds::OpenReports).await.unwrap();
    until_report(client, OPEN, Some("NO_SPEAKER")).await;
    until_report(client, POLICY, None).await;
    assert!(api::delete(client, &node("gateway-node", &json!({}))).await.status.is_success());
    until_report(client, OPEN, Some("NO_GATEWAY_NODE")).await;
    assert!(api::delete(client, &topology("istio-ingressgateway", &json!({}))).await.status.is_success());
    until_report(client, OPEN, None).await;
}

/// Waits until there is one report, with a result of this code; or none.
async fn until_report(client: &Client, path: &str, code: Option<&str>) {
    let mut last = Value::Null;
    let found = wait::until_so(async || {
        // After its CRD is installed, the API server refuses a kind for a moment.
        last = call(client, Method::GET, path, "application/json", &Value::Null).await.body;
        let Some(reports) = last["items"].as_array() else { return false };
        match code {
            None => reports.is_empty(),
            Some(code) => reports.iter().any(|report| {
                report["results"].as_array().unwrap().iter().any(|result| result["rule"] == code)
            }),
        }
    });
    assert!(found.await, "{path} never has {code:?}: {last:#}");
}

/// Sets the `failurePolicy` of a webhook.
async fn fails(client: &Client, policy: &str) {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockstep";
    let patch = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": policy}]);
    let answer = call(client, Method::PATCH, path, "application/json-patch+json", &patch).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

/// Waits until `Guarded` has this status in every topology.
async fn until_guarded(client: &Client, status: &str) {
    let is_so = |topologies: &TopologyStatuses| {
        topologies.values().all(|it| it.status.condition(GUARDED).is_some_and(|it| it.status == status))
    };
    let limit = std::time::Duration::from_secs(60);
    let topologies = topology_status::wait(client.clone(), limit, is_so).await.unwrap();
    assert!(is_so(&topologies), "never {status}: {topologies:?}");
}

/// Runs the request of the pod of `helm test` with the ServiceAccount of that pod.
async fn helm_test_succeeds(cluster: &Cluster, account: &Account) {
    let hooks = objects(&cluster.helm.run(&["get", "hooks", "lockstep", "-n", NAMESPACE]).unwrap());
    let container = &the("Pod", &hooks)["spec"]["containers"][0];
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.args(&arguments).env("KUBECONFIG", account.kubeconfig()).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Waits until each of these rights has been used. Returns all rights that were used.
async fn until_used(cluster: &Cluster, granted: &[Grant]) -> BTreeSet<Grant> {
    let mut unused = Vec::new();
    let all = wait::until_some(async || {
        let used = used(cluster);
        unused = granted.iter().filter(|grant| !used.iter().any(|done| covers(grant, done))).collect();
        unused.is_empty().then_some(used)
    });
    match all.await {
        Some(used) => used,
        None => panic!("granted, but never used: {unused:?}"),
    }
}

/// Asserts that every metric in an alert is exported.
async fn exported(serve: &Serve, ca: &str) {
    // A family without series is not exported. This one begins with the first review that cannot be decoded.
    let mut connection = Connection::open(&serve.webhook, &trusting(ca)).await;
    connection.post("/validate", "{").await;
    let (_, text) = get(&serve.admin, "/metrics").await;
    let is_exported = |metric: &str| text.contains(&format!("# TYPE {metric} "));
    for metric in alerts::metrics() {
        assert!(is_exported(&metric), "`{metric}` in\n{text}");
    }
    for label in [
        "kind=\"GatewayTopology\"",
        "kind=\"Node\"",
        "reason=\"busy\"",
        "reason=\"memory\"",
        "reason=\"alert\"",
        "result=\"failed\"",
    ] {
        assert!(text.contains(label), "no series has `{label}`");
    }
}

/// Asserts that the API server calls the mutating webhook as the chart registers it. The API server needs a moment to
/// see a changed configuration, and rejects calls until then.
async fn placed(client: &Client) {
    let pod = gateway_pod("gateway");
    let stored = wait::until_some(async || {
        let answer = api::post(client, &pod, false).await;
        if answer.status.is_success() {
            return Some(answer.body);
        }
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains("failed calling webhook"), "{message}");
        None
    });
    let stored = stored.await.expect("the API server sees the change");
    assert_eq!(stored["spec"]["nodeSelector"], json!({"loadbalancerIPs.metallb.io": "arp"}));
}

/// Asserts that the validating webhook denies an object and names the chart's topology.
async fn judged(client: &Client) {
    let advertisement = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": "default", "namespace": "metallb-system"},
        "spec": {"ipAddressPools": ["default-pool"]},
    });
    let answer = apply(client, &advertisement, "tests", "").await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let said = answer.body["message"].as_str().unwrap();
    assert!(said.contains("announcements.validate.lockstep.dev"), "{said}");
    assert!(said.contains("topology `istio-ingressgateway`"), "{said}");
}
