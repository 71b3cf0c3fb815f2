//! `lockstep explain` on a real API server: with which rights it sees what, and that it says of a cluster what it says of
//! the same objects in manifests.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use kube::Client;
use lockstep_test_support::api::{call, create, path_of};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::objects;
use lockstep_test_support::state::{put, stored_objects};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use super::states::{Readers, grant, preserved, remove, start, states, until_granted};

/// The longest time that a change may take to be seen: moments, on an idle machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// The output of a run of `lockstep explain`.
struct Explained {
    code: i32,
    out: String,
    err: String,
}

impl Explained {
    fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no document: {} {}", self.out, self.err))
    }

    fn outcome(&self) -> Value {
        self.document()["topologies"][0]["services"][0]["addresses"][0]["outcome"].clone()
    }

    /// The kinds that were not read, each with its namespace and RBAC rule.
    fn unread(&self) -> Vec<(String, Value, Value)> {
        let document = self.document();
        let entries = document["unread"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        entries
            .map(|entry| (text(&entry["kind"]), entry["namespace"].clone(), entry["rule"].clone()))
            .collect()
    }
}

/// Runs `lockstep explain` with a kubeconfig.
async fn explain(kubeconfig: &Path, arguments: &[&str]) -> Explained {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.arg("explain").args(arguments).env("KUBECONFIG", kubeconfig).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Explained { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_explained_as_the_same_objects_in_manifests_are() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    for state in states() {
        let objects = stored_objects(&state);
        put(&client, &objects).await;
        let live = explain(control_plane.kubeconfig_path(), &["-o", "json"]).await;
        let file = explain(Path::new("/nonexistent"), &["-o", "json", "-f", state.to_str().unwrap()]).await;
        assert_eq!((live.err.as_str(), live.code), ("", file.code), "{}", state.display());
        assert_eq!(live.unread(), [], "{}", state.display());
        let (live, mut file) = (live.document(), file.document());
        for service in file["topologies"][0]["services"].as_array_mut().unwrap() {
            if service["policy"] == "" {
                // The API server's default.
                service["policy"] = json!("Cluster");
            }
        }
        assert_eq!(live["topologies"], file["topologies"], "{}", state.display());
        assert_eq!(live["metallb"], file["metallb"], "{}", state.display());
        remove(&client, &objects).await;
    }
}

/// A rule of a role.
fn rule(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["list"]})
}

/// Everything that `explain` reads.
const READ: [(&str, &str); 14] = [
    ("lockstep.dev", "gatewaytopologies"),
    ("", "nodes"),
    ("", "namespaces"),
    ("", "pods"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("metallb.io", "ipaddresspools"),
    ("metallb.io", "l2advertisements"),
    ("metallb.io", "bgpadvertisements"),
    ("metallb.io", "servicel2statuses"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("policy", "poddisruptionbudgets"),
];

impl Readers {
    async fn explain(&self, name: &str, arguments: &[&str]) -> Explained {
        let path = self.path();
        let flags = ["--kubeconfig", path.to_str().unwrap(), "--context", name];
        explain(Path::new("/nonexistent"), &[&flags, arguments].concat()).await
    }
}

/// Without a right, what takes the kind is Unknown, everything else is as before, and the output has the rule to add.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_makes_unknown_what_takes_it_and_the_rule_that_grants_it_is_printed() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    put(&client, &stored_objects(&preserved())).await;
    let reader = |without: &str| format!("without-{without}");
    let names: Vec<String> = READ.iter().map(|(_, resource)| reader(resource)).collect();
    for (_, without) in READ {
        let granted = READ.iter().filter(|(_, resource)| *resource != without);
        let rules: Vec<Value> = granted.map(|(group, resource)| rule(group, &[resource])).collect();
        grant(&client, &reader(without), None, &rules).await;
    }
    for (index, name) in names.iter().enumerate() {
        until_granted(&client, name, "", READ[usize::from(index == 0)]).await;
    }
    let readers = Readers::new(&control_plane, &names);
    let outcomes = [
        ("nodes", None, "Unknown"),
        ("namespaces", None, "Preserved"),
        ("services", Some("istio-system"), "Unknown"),
        ("endpointslices", Some("istio-system"), "Unknown"),
        ("ipaddresspools", Some("metallb-system"), "Unknown"),
        ("l2advertisements", Some("metallb-system"), "Unknown"),
        ("bgpadvertisements", Some("metallb-system"), "Unknown"),
        ("servicel2statuses", Some("metallb-system"), "Preserved"),
        ("deployments", Some("istio-system"), "Preserved"),
        ("statefulsets", Some("istio-system"), "Preserved"),
        ("daemonsets", Some("istio-system"), "Preserved"),
        ("poddisruptionbudgets", Some("istio-system"), "Preserved"),
    ];
    for (resource, namespace, outcome) in outcomes {
        let explained = readers.explain(&reader(resource), &["-o", "json"]).await;
        let (group, _) = READ.iter().find(|(_, held)| *held == resource).unwrap();
        let kind = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let expected = [(kind, json!(namespace), rule(group, &[resource]))];
        assert_eq!(explained.unread(), expected, "{resource}");
        assert_eq!(explained.code, if outcome == "Unknown" { 2 } else { 0 }, "{resource}: {}", explained.err);
        if resource == "services" {
            let topology = &explained.document()["topologies"][0];
            assert_eq!(
                (&topology["services"], &topology["conditions"][0]["status"]),
                (&json!([]), &json!("Unknown"))
            );
        } else {
            assert_eq!(explained.outcome(), outcome, "{resource}: {}", explained.out);
        }
    }

    // Gateway pods and speakers are two lists of one kind.
    let explained = readers.explain("without-pods", &["-o", "json"]).await;
    let pods = |kind: &str, namespace| (kind.to_owned(), json!(namespace), rule("", &["pods"]));
    let expected = [pods("pods", "istio-system"), pods("MetalLB's speaker pods", "metallb-system")];
    assert_eq!((explained.unread().as_slice(), explained.outcome()), (&expected[..], json!("Preserved")));

    let text = readers.explain("without-endpointslices", &[]).await;
    let expected = "not read: endpointslices.discovery.k8s.io in namespace `istio-system`: you may not list them; \
        a Role or ClusterRole with this rule allows it:\n  \
        - {apiGroups: [\"discovery.k8s.io\"], resources: [\"endpointslices\"], verbs: [\"list\"]}\n";
    assert!(text.out.contains(expected), "{}", text.out);

    let blind = readers.explain("without-gatewaytopologies", &[]).await;
    assert_eq!((blind.code, blind.out.as_str()), (2, ""));
    assert_eq!(
        blind.err,
        "lockstep: the API server does not allow you to list topologies, which say what to read: grant the rule \
         {apiGroups: [\"lockstep.dev\"], resources: [\"gatewaytopologies\"], verbs: [\"list\"]} in a ClusterRole\n"
    );
}

/// A reader that may list pods only in the gateway's namespace need not list them everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_in_the_namespaces_of_a_topology_are_enough() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let mut objects = stored_objects(&preserved());
    // Another topology, in a namespace that the reader has no right in.
    objects.push(objects::topology("other", &json!({"gateway": {"namespace": "other"}})));
    put(&client, &objects).await;
    let cluster = [rule("lockstep.dev", &["gatewaytopologies"]), rule("", &["nodes"])];
    grant(&client, "reader", None, &cluster).await;
    let gateway = [
        rule("", &["pods", "services"]),
        rule("discovery.k8s.io", &["endpointslices"]),
        rule("apps", &["deployments", "statefulsets", "daemonsets"]),
        rule("policy", &["poddisruptionbudgets"]),
    ];
    grant(&client, "reader", Some("istio-system"), &gateway).await;
    let kinds = ["ipaddresspools", "l2advertisements", "bgpadvertisements", "servicel2statuses"];
    grant(&client, "reader", Some("metallb-system"), &[rule("metallb.io", &kinds), rule("", &["pods"])])
        .await;
    until_granted(&client, "reader", "", ("", "nodes")).await;
    until_granted(&client, "reader", "metallb-system", ("", "pods")).await;
    until_granted(&client, "reader", "istio-system", ("", "pods")).await;
    let readers = Readers::new(&control_plane, &["reader".to_owned()]);

    let one = readers.explain("reader", &["edge", "-o", "json"]).await;
    assert_eq!((one.code, one.outcome()), (0, json!("Preserved")), "{} {}", one.out, one.err);
    assert_eq!(one.unread(), [("namespaces".to_owned(), Value::Null, rule("", &["namespaces"]))]);

    let all = readers.explain("reader", &["-o", "json"]).await;
    assert_eq!((all.code, all.outcome()), (2, json!("Unknown")));
    let elsewhere = all.unread().into_iter().filter(|(_, namespace, _)| namespace == "other");
    let kinds: Vec<String> = elsewhere.map(|(kind, ..)| kind).collect();
    let expected = [
        "services",
        "endpointslices.discovery.k8s.io",
        "pods",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "poddisruptionbudgets.policy",
    ];
    assert_eq!(kinds, expected);
}

/// A release is told by the kinds that the cluster serves where no speaker pod shows it, and a kind of another release
/// is neither missing nor forbidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_served_kinds_tell_the_release_where_no_speaker_does() {
    let releases = [
        (MetalLb::V0_13_5, "0.13.5", "addresspools"),
        (MetalLb::V0_15_2, "0.15.2", "servicel2statuses"),
        (MetalLb::V0_16_2, "0.16.2", "configurationstates"),
    ];
    for (release, number, kind) in releases {
        let (control_plane, client) = start(Some(release)).await;
        let mut objects = stored_objects(&preserved());
        put(&client, &objects).await;
        let kubeconfig = control_plane.kubeconfig_path();
        let explained = explain(kubeconfig, &["-o", "json"]).await;
        let document = explained.document();
        assert_eq!(document["metallb"], number);
        let message = format!("detected from the kind `{kind}.metallb.io`, which the cluster serves");
        assert_eq!(document["metallbBasis"], json!({"reason": "Kind", "message": message}));
        assert_eq!(explained.unread(), []);
        let given = explain(kubeconfig, &["-o", "json", "--metallb", "0.15.2"]).await.document();
        assert_eq!(
            (&given["metallb"], &given["metallbBasis"]["reason"]),
            (&json!("0.15.2"), &json!("Given"))
        );

        let speakers: Vec<Value> =
            objects.extract_if(.., |object| object["metadata"]["labels"]["component"] == "speaker").collect();
        assert!(!speakers.is_empty());
        remove(&client, &speakers).await;
        let image = "registry.example:5000/metallb/speaker:v0.14.9";
        let renamed = speakers.into_iter().map(|mut speaker| {
            speaker["metadata"]["labels"] = json!({"app.kubernetes.io/name": "renamed"});
            speaker["spec"]["containers"][0]["image"] = json!(image);
            speaker
        });
        put(&client, &renamed.collect::<Vec<_>>()).await;
        let detected = explain(kubeconfig, &["-o", "json"]).await.document();
        let message = format!("detected from the speaker's image `{image}`");
        assert_eq!(
            (&detected["metallb"], &detected["metallbBasis"]),
            (&json!("0.15.2"), &json!({"reason": "Image", "message": message}))
        );
    }
}

/// Pods of which none looks like a speaker are no proof that none runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speakers_that_are_not_recognized_are_unknown_and_not_absent() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let mut objects = stored_objects(&preserved());
    for object in &mut objects {
        if object["metadata"]["labels"]["component"] == "speaker" {
            object["metadata"]["labels"] = json!({"app": "renamed"});
        }
    }
    put(&client, &objects).await;
    let explained = explain(control_plane.kubeconfig_path(), &["-o", "json"]).await;
    assert_eq!((explained.code, explained.outcome()), (0, json!("Preserved")));
    let unread = [("MetalLB's speaker pods".to_owned(), json!("metallb-system"), Value::Null)];
    assert_eq!(explained.unread(), unread);
    let is_pod =
        |object: &Value| object["kind"] == "Pod" && object["metadata"]["namespace"] == "metallb-system";
    remove(&client, &objects.into_iter().filter(is_pod).collect::<Vec<_>>()).await;
    let explained = explain(control_plane.kubeconfig_path(), &["-o", "json"]).await;
    assert_eq!((explained.code, explained.outcome()), (1, json!("Silent")), "no pod is no speaker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_topology_the_built_in_one_is_explained_with_a_warning() {
    let control_plane = ControlPlane::start().await.unwrap();
    let (kubeconfig, client) = (control_plane.kubeconfig_path(), control_plane.client().await.unwrap());
    let warning = "lockstep: no GatewayTopology in the cluster, so that Lockstep enforces nothing: the built-in one is \
        used; apply the output of `lockstep crd`, and create one\n";

    let bare = explain(kubeconfig, &["-o", "json"]).await;
    assert_eq!((bare.code, bare.err.as_str()), (2, warning), "{}", bare.out);
    assert_eq!(bare.document()["topologies"][0]["conditions"][0]["status"], "Unknown");
    assert!(bare.out.contains("the cluster does not serve MetalLB's kinds"), "{}", bare.out);

    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::V0_16_2).await.unwrap();
    for name in ["istio-system", "metallb-system"] {
        create(&client, &objects::namespace(name)).await;
    }
    let mut objects = stored_objects(&preserved());
    objects.retain(|object| object["kind"] != "GatewayTopology");
    put(&client, &objects).await;
    let explained = explain(kubeconfig, &["-o", "json"]).await;
    assert_eq!((explained.code, explained.err.as_str()), (0, warning));
    assert_eq!(explained.outcome(), "Preserved");

    let spec = json!({"gateway": {"podLabels": {"a": "b"}}, "placement": {"nodeSelector": {"k": "v"}}});
    create(&client, &objects::topology("edge", &spec)).await;
    let explained = explain(kubeconfig, &["edge"]).await;
    assert_eq!((explained.code, explained.err.as_str()), (1, ""), "{}", explained.out);
    assert!(explained.out.contains("topology edge: NO_POD: "), "{}", explained.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_found_in_its_namespace_and_nothing_else_is_limited() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    put(&client, &stored_objects(&preserved())).await;
    let kubeconfig = control_plane.kubeconfig_path();
    for target in [
        &["istio-ingressgateway"][..],
        &["istio-ingressgateway", "-n", "istio-system"],
        &["istio-system/istio-ingressgateway"],
        &["10.6.229.180"],
        &["edge"],
    ] {
        let explained = explain(kubeconfig, target).await;
        assert_eq!((explained.code, explained.err.as_str()), (0, ""), "{target:?}");
        assert!(explained.out.starts_with("10.6.229.180 PRESERVED: "), "{target:?}: {}", explained.out);
    }
    let elsewhere = explain(kubeconfig, &["istio-ingressgateway", "-n", "default"]).await;
    assert_eq!((elsewhere.code, elsewhere.out.as_str()), (2, ""));
    assert_eq!(
        elsewhere.err,
        "lockstep: no topology, Service or address `istio-ingressgateway` in the cluster\n"
    );
    let alone = explain(kubeconfig, &["-n", "istio-system"]).await;
    assert_eq!(alone.code, 2);
    assert!(alone.err.contains("name a Service, or leave the flag out"), "{}", alone.err);
}

/// The topology that is supposed has a namespace of its own, which is read because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_if_is_answered_on_a_cluster_and_changes_nothing_in_it() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    put(&client, &stored_objects(&preserved())).await;
    let kubeconfig = control_plane.kubeconfig_path();
    let failed = explain(kubeconfig, &["-o", "json", "--fail-node", "n1"]).await;
    let document = failed.document();
    assert_eq!(document["before"]["topologies"][0]["services"][0]["addresses"][0]["outcome"], "Preserved");
    assert_eq!(failed.outcome(), "Fragile", "{}", failed.out);
    assert_eq!(explain(kubeconfig, &["-o", "json"]).await.outcome(), "Preserved");

    create(&client, &objects::namespace("edge")).await;
    let mut service = objects::service("edge");
    service["metadata"]["namespace"] = json!("edge");
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.6.229.181"}]}});
    put(&client, &[service]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.yaml");
    let topology = objects::topology("other", &json!({"gateway": {"namespace": "edge"}}));
    std::fs::write(&file, topology.to_string()).unwrap();
    let supposed = explain(kubeconfig, &["other", "-o", "json", "--with", file.to_str().unwrap()]).await;
    let service = &supposed.document()["topologies"][0]["services"][0];
    assert_eq!((&service["namespace"], &service["policy"]), (&json!("edge"), &json!("Cluster")));
}

/// A running `lockstep explain --watch -o json`.
struct Following {
    child: tokio::process::Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(kubeconfig: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command.args(["explain", "--watch", "-o", "json"]).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, out }
    }

    /// The next document that is printed.
    async fn next(&mut self) -> Value {
        let mut text = String::new();
        loop {
            let line = timeout(DEADLINE, self.out.next_line()).await.expect("another document").unwrap();
            text.push_str(&line.expect("it still runs"));
            if let Ok(document) = serde_json::from_str(&text) {
                return document;
            }
        }
    }

    /// The outcome in the next document.
    async fn outcome(&mut self) -> Value {
        self.next().await["topologies"][0]["services"][0]["addresses"][0]["outcome"].clone()
    }
}

/// The API server is stopped and started again in between, and changes that no assessment reads print nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_watch_each_change_of_the_outcome_is_printed_once_until_ctrl_c() {
    let (mut control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    let objects = stored_objects(&preserved());
    put(&client, &objects).await;
    let mut following = Following::start(control_plane.kubeconfig_path());
    assert_eq!(following.outcome().await, "Preserved");

    let node = objects.iter().find(|object| object["kind"] == "Node").unwrap();
    let heartbeat = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"},
    ]}});
    let path = format!("{}/status", path_of(node));
    let answer = call(&client, Method::PATCH, &path, "application/merge-patch+json", &heartbeat).await;
    assert_eq!(answer.status, StatusCode::OK);
    let is_service = |object: &&Value| object["kind"] == "Service";
    let path = path_of(objects.iter().find(is_service).unwrap());
    let set = async |client: &Client, policy: &str| {
        let patch = json!({"spec": {"externalTrafficPolicy": policy}});
        let answer = call(client, Method::PATCH, &path, "application/merge-patch+json", &patch).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    };
    set(&client, "Cluster").await;
    assert_eq!(following.outcome().await, "Lost");

    control_plane.kill_api_server().await.unwrap();
    control_plane.start_api_server().await.unwrap();
    set(&control_plane.client().await.unwrap(), "Local").await;
    assert_eq!(following.outcome().await, "Preserved");

    // A topology that names another namespace starts watches of its own.
    create(&client, &objects::topology("other", &json!({"gateway": {"namespace": "other"}}))).await;
    let names = |document: &Value| document["topologies"].as_array().unwrap().len();
    assert_eq!(names(&following.next().await), 2);

    let id = following.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(timeout(DEADLINE, following.child.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_watch_a_missing_right_is_named_with_both_verbs() {
    let (control_plane, client) = start(Some(MetalLb::V0_16_2)).await;
    put(&client, &stored_objects(&preserved())).await;
    let verbs = ["list", "watch"];
    let rules = [("lockstep.dev", "gatewaytopologies"), ("", "pods"), ("", "services"), ("", "nodes")];
    let rules =
        rules.map(|(group, plural)| json!({"apiGroups": [group], "resources": [plural], "verbs": verbs}));
    grant(&client, "reader", None, &rules).await;
    until_granted(&client, "reader", "", ("", "nodes")).await;
    let readers = Readers::new(&control_plane, &["reader".to_owned()]);
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(readers.path()).unwrap()).unwrap();
    kubeconfig["current-context"] = json!("reader");
    std::fs::write(readers.path(), kubeconfig.to_string()).unwrap();
    let document = Following::start(&readers.path()).next().await;
    let unread = document["unread"].as_array().unwrap();
    let slices = unread.iter().find(|entry| entry["kind"] == "endpointslices.discovery.k8s.io").unwrap();
    let rule = json!({"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs});
    assert_eq!((&slices["rule"], &slices["reason"]), (&rule, &json!("Forbidden")));
    assert_eq!(document["topologies"][0]["services"][0]["addresses"][0]["outcome"], "Unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_reached_or_is_not_configured_is_an_error() {
    let nowhere = explain(Path::new("/nonexistent"), &[]).await;
    assert_eq!((nowhere.code, nowhere.out.as_str()), (2, ""));
    assert!(nowhere.err.starts_with("lockstep: no cluster is configured: "), "{}", nowhere.err);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "users": [{"name": "it", "user": {}}],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let unreachable = explain(&path, &[]).await;
    assert_eq!((unreachable.code, unreachable.out.as_str()), (2, ""));
    let begin = "lockstep: cannot list `gatewaytopologies.lockstep.dev`: ";
    assert!(unreachable.err.starts_with(begin) && unreachable.err.contains("refused"), "{}", unreachable.err);
    let other = explain(&path, &["--context", "other"]).await;
    assert_eq!(other.code, 2);
    assert_eq!(
        other.err,
        "lockstep: the kubeconfig has no context `other`: `kubectl config get-contexts` lists them\n"
    );
    let missing = explain(&path, &["--kubeconfig", "/nonexistent"]).await;
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("/nonexistent"), "{}", missing.err);
}
