//! The rights of the chart's ServiceAccount, request by request, and requests that the API server forbids.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep::snapshot::Source;
use serde_json::{Value, json};

use lockstep_test_support::api::{self, Answer, call};
use lockstep_test_support::control_plane::{MetalLb, Options};
use lockstep_test_support::helm::Helm;
use lockstep_test_support::objects::namespace;
use lockstep_test_support::release::Cluster;
use lockstep_test_support::service_account::{Account, Grant, granted, rights};
use lockstep_test_support::wait;

/// All rights: namespace, resource, name and verbs. `gateway` and `metallb` stand for all namespaces, unless the
/// values ask for roles in the namespaces.
const RIGHTS: [(&str, &str, &str, &[&str]); 25] = [
    ("", "nodes", "", READ),
    ("", "namespaces", "", READ),
    ("", "gatewaytopologies.lockstep.dev", "", READ),
    ("", "gatewaytopologies.lockstep.dev/status", "", &["patch"]),
    (
        "",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "lockstep",
        &["get", "list", "patch", "watch"],
    ),
    (
        "",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "lockstep",
        &["get", "list", "patch", "watch"],
    ),
    ("", "clusterreports.openreports.io", "", &["create", "delete", "list", "patch", "watch"]),
    ("", "clusterpolicyreports.wgpolicyk8s.io", "", &["create", "delete", "list", "patch", "watch"]),
    ("lockstep-system", "services", "", &["list"]),
    ("lockstep-system", "endpointslices.discovery.k8s.io", "", &["list"]),
    ("lockstep-system", "secrets", "lockstep-ca", &["get", "list", "patch", "watch"]),
    ("istio-system", "pods", "", READ),
    ("istio-system", "services", "", READ),
    ("istio-system", "endpointslices.discovery.k8s.io", "", READ),
    ("istio-system", "daemonsets.apps", "", READ),
    ("istio-system", "deployments.apps", "", READ),
    ("istio-system", "statefulsets.apps", "", READ),
    ("istio-system", "poddisruptionbudgets.policy", "", READ),
    ("istio-system", "events.events.k8s.io", "", &["create", "patch"]),
    ("metallb-system", "pods", "", READ),
    ("metallb-system", "addresspools.metallb.io", "", READ),
    ("metallb-system", "bgpadvertisements.metallb.io", "", READ),
    ("metallb-system", "ipaddresspools.metallb.io", "", READ),
    ("metallb-system", "l2advertisements.metallb.io", "", READ),
    ("metallb-system", "servicel2statuses.metallb.io", "", READ),
];

const READ: &[&str] = &["list", "watch"];

/// Returns the table as grants. By default, those for the gateways and MetalLB are not bound to a namespace.
fn table(namespaced: bool) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (namespace, resource, name, verbs) in RIGHTS {
        let bound = namespaced || namespace == "lockstep-system";
        for verb in verbs {
            grants.push(Grant {
                namespace: if bound { namespace.to_owned() } else { String::new() },
                resource: resource.to_owned(),
                name: name.to_owned(),
                verb: (*verb).to_owned(),
            });
        }
    }
    if namespaced {
        // Events about objects without a namespace.
        for verb in ["create", "patch"] {
            grants.push(Grant {
                namespace: "default".to_owned(),
                resource: "events.events.k8s.io".to_owned(),
                name: String::new(),
                verb: verb.to_owned(),
            });
        }
    }
    grants.sort();
    // Without namespaces, the gateways' pods and MetalLB's are one right.
    grants.dedup();
    grants
}

#[test]
fn the_granted_rights_are_exactly_those_in_the_table() {
    let helm = Helm::offline();
    assert_eq!(granted(&helm.render("default", &[])), table(false));
    assert_eq!(granted(&helm.render("default", &["--set", "rbac.namespaced=true"])), table(true));
    for values in lockstep_test_support::helm::VALUES {
        let rendered = granted(&helm.render(values, &[]));
        assert!(rendered.iter().all(|grant| !format!("{grant:?}").contains('*')), "{values}: {rendered:?}");
    }
}

#[test]
fn with_external_certificates_only_status_events_and_reports_may_be_written() {
    let writes = |values: &str, more: &[&str]| -> BTreeSet<String> {
        granted(&Helm::offline().render(values, more))
            .into_iter()
            .filter(|grant| !["get", "list", "watch"].contains(&grant.verb.as_str()))
            .map(|grant| grant.resource)
            .collect()
    };
    let reports = ["clusterpolicyreports.wgpolicyk8s.io", "clusterreports.openreports.io"];
    let others = ["events.events.k8s.io", "gatewaytopologies.lockstep.dev/status"];
    for values in ["cert-manager", "minimal"] {
        let all = writes(values, &[]);
        assert!(all.iter().eq(reports.iter().chain(&others)), "{values}: {all:?}");
        let fewer = writes(values, &["--set", "reports.enabled=false"]);
        assert!(fewer.iter().eq(&others), "{values}: {fewer:?}");
    }
}

/// Returns the path of a resource.
fn path(namespace: &str, resource: &str, name: &str) -> String {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let root = match group {
        "" => "/api/v1".to_owned(),
        "metallb.io" => "/apis/metallb.io/v1beta1".to_owned(),
        "openreports.io" => "/apis/openreports.io/v1alpha1".to_owned(),
        "wgpolicyk8s.io" => "/apis/wgpolicyk8s.io/v1alpha2".to_owned(),
        "lockstep.dev" => "/apis/lockstep.dev/v1alpha1".to_owned(),
        group => format!("/apis/{group}/v1"),
    };
    let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let parts = [name, subresource]
        .iter()
        .filter(|part| !part.is_empty())
        .fold(String::new(), |all, part| all + "/" + part);
    format!("{root}{place}/{plural}{parts}")
}

/// Sends a request, again while the API server does not serve the kind: after the CRD is installed, that takes a
/// moment.
async fn request(client: &Client, namespace: &str, resource: &str, name: &str, verb: &str) -> Answer {
    let answer = wait::until_some(async || {
        let answer = ask(client, namespace, resource, name, verb).await;
        (answer.status != StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    });
    answer.await.expect("the API server serves the kind")
}

/// Sends one request as the program does.
async fn ask(client: &Client, namespace: &str, resource: &str, name: &str, verb: &str) -> Answer {
    let field =
        if name.is_empty() { String::new() } else { format!("&fieldSelector=metadata.name%3D{name}") };
    let collection = path(namespace, resource, "");
    let send = async |method, path: &str, content_type: &str, body: &Value| {
        call(client, method, path, content_type, body).await
    };
    let one = path(namespace, resource, name);
    match verb {
        "list" => {
            send(Method::GET, &format!("{collection}?limit=1{field}"), "application/json", &Value::Null).await
        }
        "watch" => {
            let watch = format!("{collection}?watch=1&timeoutSeconds=1{field}");
            send(Method::GET, &watch, "application/json", &Value::Null).await
        }
        "get" => send(Method::GET, &one, "application/json", &Value::Null).await,
        "patch" => send(Method::PATCH, &one, "application/merge-patch+json", &json!({})).await,
        "delete" => send(Method::DELETE, &one, "application/json", &Value::Null).await,
        "update" => send(Method::PUT, &one, "application/json", &json!({"metadata": {"name": name}})).await,
        "create" => {
            let object = json!({"metadata": {"name": "other"}});
            send(Method::POST, &collection, "application/json", &object).await
        }
        other => panic!("no request for `{other}`"),
    }
}

async fn installed(namespaced: bool) -> (Cluster, Account) {
    let cluster = Cluster::start(Options::default()).await;
    cluster.control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    let client = cluster.client().await;
    for name in ["istio-system", "metallb-system"] {
        api::create(&client, &namespace(name)).await;
    }
    cluster.install(&["--set", &format!("rbac.namespaced={namespaced}")]);
    let account = Account::of(&cluster).await;
    (cluster, account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_account_has_every_right_in_the_table() {
    for namespaced in [false, true] {
        let (_cluster, account) = installed(namespaced).await;
        let client = account.client().await;
        let requests = RIGHTS.iter().flat_map(|(namespace, resource, name, verbs)| {
            verbs.iter().map(move |verb| (*namespace, *resource, *name, *verb))
        });
        let sent = requests.map(async |(namespace, resource, name, verb)| {
            // The program changes one object by name; the right covers all of the kind.
            let is_any = ["delete", "patch"].contains(&verb) && name.is_empty();
            let name = if is_any { "istio-ingressgateway" } else { name };
            let answer = request(&client, namespace, resource, name, verb).await;
            // The API server checks rights first: an object or a kind that is not there, or an invalid object, is no refusal.
            let is_missing = ["addresspools.", "clusterreports.", "clusterpolicyreports."]
                .iter()
                .any(|kind| resource.starts_with(kind));
            let is_absent = is_any || is_missing;
            let is_allowed = match answer.status {
                StatusCode::NOT_FOUND => is_absent,
                StatusCode::UNPROCESSABLE_ENTITY => verb == "create",
                status => status.is_success(),
            };
            assert!(is_allowed, "{verb} {resource}: {} {}", answer.status, answer.body);
        });
        futures::future::join_all(sent).await;
    }
}

/// Requests that are forbidden: namespace, resource, name, verb.
const FORBIDDEN: [(&str, &str, &str, &str); 29] = [
    ("", "secrets", "", "list"),
    ("", "secrets", "", "watch"),
    ("lockstep-system", "secrets", "", "list"),
    ("lockstep-system", "secrets", "", "create"),
    ("lockstep-system", "secrets", "other", "get"),
    ("lockstep-system", "secrets", "lockstep-ca", "delete"),
    ("lockstep-system", "secrets", "lockstep-ca", "update"),
    ("lockstep-system", "secrets", "other", "patch"),
    ("istio-system", "secrets", "lockstep-ca", "get"),
    ("", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "", "list"),
    ("", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "", "create"),
    ("", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "other", "patch"),
    ("", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "lockstep", "delete"),
    ("", "validatingwebhookconfigurations.admissionregistration.k8s.io", "other", "patch"),
    ("", "validatingwebhookconfigurations.admissionregistration.k8s.io", "lockstep", "delete"),
    ("", "gatewaytopologies.lockstep.dev", "istio-ingressgateway", "patch"),
    ("", "gatewaytopologies.lockstep.dev", "istio-ingressgateway", "delete"),
    ("", "nodes", "worker", "patch"),
    ("istio-system", "pods", "", "create"),
    ("istio-system", "services", "gateway", "patch"),
    ("metallb-system", "l2advertisements.metallb.io", "default", "patch"),
    ("istio-system", "events.events.k8s.io", "", "list"),
    ("", "clusterreports.openreports.io", "lockstep-istio-ingressgateway", "update"),
    ("istio-system", "reports.openreports.io", "", "create"),
    ("istio-system", "policyreports.wgpolicyk8s.io", "", "list"),
    ("istio-system", "deployments.apps", "gateway", "patch"),
    ("lockstep-system", "serviceaccounts", "lockstep", "get"),
    ("", "clusterroles.rbac.authorization.k8s.io", "lockstep", "patch"),
    ("", "clusterrolebindings.rbac.authorization.k8s.io", "", "create"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_forbids_every_right_outside_the_table() {
    for namespaced in [false, true] {
        let (_cluster, account) = installed(namespaced).await;
        let client = account.client().await;
        let elsewhere =
            [("", "pods", "", "list"), ("", "services", "", "watch"), ("default", "pods", "", "list")];
        let more = if namespaced { elsewhere.as_slice() } else { &[] };
        for (namespace, resource, name, verb) in FORBIDDEN.iter().chain(more) {
            let answer = request(&client, namespace, resource, name, verb).await;
            let asked = format!("{verb} {resource} {namespace}/{name}");
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{asked}: {}", answer.body);
        }
    }
}

#[test]
fn the_readers_role_has_what_explain_reads_and_no_account_has_it() {
    let role = |more: &[&str]| {
        let rendered = Helm::offline().render("default", more);
        rendered.into_iter().find(|object| object["metadata"]["name"] == "lockstep-reader")
    };
    // Speakers are pods.
    let mut read: BTreeSet<String> = Source::ALL.iter().map(Source::to_string).collect();
    read.insert("gatewaytopologies.lockstep.dev".to_owned());
    let verbs = ["list", "watch"].into_iter();
    let grant = |resource: &String, verb: &str| Grant {
        namespace: String::new(),
        resource: resource.clone(),
        name: String::new(),
        verb: verb.to_owned(),
    };
    let expected = read.iter().flat_map(|resource| verbs.clone().map(move |verb| grant(resource, verb)));
    assert_eq!(rights(&role(&[]).unwrap()), expected.collect::<Vec<_>>());
    assert_eq!(role(&["--set", "rbac.reader=false"]), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_reads_everything_with_the_readers_role() {
    for release in [MetalLb::V0_13_5, MetalLb::V0_16_2] {
        let cluster = Cluster::start(Options::default()).await;
        cluster.control_plane.install_metallb(release).await.unwrap();
        cluster.install(&[]);
        let client = cluster.client().await;
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "readers"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "lockstep-reader"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
        });
        api::create(&client, &binding).await;
        let read = wait::until_some(async || {
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lockstep"));
            command.args(["explain", "-o", "json", "--context", "alice"]);
            command.env("KUBECONFIG", cluster.control_plane.kubeconfig_path());
            let output = command.output().await.unwrap();
            // Until the API server knows of the binding, topologies may not be listed, and nothing is printed.
            serde_json::from_slice::<Value>(&output.stdout).ok().filter(|read| read["unread"] == json!([]))
        });
        let read = read.await.expect("everything is read");
        assert_eq!(read["topologies"][0]["name"], "istio-ingressgateway");
    }
}
