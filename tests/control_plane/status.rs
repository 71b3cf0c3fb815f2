//! The status of topologies on a real API server: what replicas write, and what `lockstep status` shows.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use lockstep::cluster::topology_status::{self, TopologyStatuses};
use lockstep::cluster::{self, StatusInputs, WatchMetrics};
use lockstep::topology::GUARDED;
use lockstep_test_support::api::{self, call, create};
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::objects;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The time limit until a change is visible. On an idle machine, it takes moments.
const DEADLINE: Duration = Duration::from_secs(60);

const CONFIGURATIONS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// One replica's status reconciler.
struct Replica {
    registry: Registry,
    trust_anchors: watch::Sender<Option<String>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), cluster::Error>>,
}

impl Replica {
    fn start(client: Client, trust_anchors: Option<&str>) -> Self {
        let (sender, receiver) = watch::channel(trust_anchors.map(str::to_owned));
        let (metrics, shutdown) = (WatchMetrics::default(), CancellationToken::new());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let (configurations, watch) =
            cluster::watch_webhook_configurations(client.clone(), "lockstep".to_owned(), metrics.clone());
        // Nothing is assessed here: the other conditions have tests of their own.
        let (_, assessments) = watch::channel(None);
        // Its webhooks are called by URLs.
        let (_, calls) = watch::channel(Arc::default());
        let inputs = StatusInputs { assessments, configurations, trust_anchors: receiver, calls };
        let reconciler = cluster::reconcile_status(client, inputs, metrics, shutdown.clone());
        let task = tokio::spawn(async move {
            tokio::select! {
                outcome = reconciler => outcome,
                error = watch => Err(error),
            }
        });
        Self { registry, trust_anchors: sender, shutdown, task }
    }

    /// Returns the value of a series; 0 if it does not exist.
    fn metric(&self, series: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    async fn until(&self, series: &str, is_wanted: impl Fn(u64) -> bool) {
        let is_counted = wait::until_so(async || is_wanted(self.metric(series))).await;
        assert!(is_counted, "`{series}` stays at {}", self.metric(series));
    }

    fn stored(&self) -> u64 {
        self.metric("status_writes_total{result=\"stored\"}")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn start() -> (ControlPlane, Client) {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    let client = control_plane.client().await.unwrap();
    (control_plane, client)
}

fn topology(name: &str) -> Value {
    objects::topology(name, &json!({}))
}

/// Registers a webhook that is never called, because no object is created that it applies to.
async fn register(client: &Client, ca_pem: &str) {
    webhook::register(client, "localhost:1", ca_pem).await;
}

fn path(plural: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{plural}/lockstep")
}

async fn set_failure_policy(client: &Client, policy: &str) {
    let patch = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": policy}]);
    let path = path(CONFIGURATIONS[1]);
    let answer = call(client, Method::PATCH, &path, "application/json-patch+json", &patch).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn delete(client: &Client, plural: &str) {
    let answer = call(client, Method::DELETE, &path(plural), "application/json", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn condition<'t>(topologies: &'t TopologyStatuses, name: &str) -> Option<&'t Condition> {
    topologies.get(name)?.status.condition(GUARDED)
}

/// Waits until the topology's condition has this reason.
async fn until(client: &Client, name: &str, reason: &str) -> Condition {
    let has =
        |topologies: &TopologyStatuses| condition(topologies, name).is_some_and(|it| it.reason == reason);
    let topologies = topology_status::wait(client.clone(), DEADLINE, has).await.unwrap();
    assert!(has(&topologies), "`{name}` never comes to {reason}: {topologies:?}");
    condition(&topologies, name).unwrap().clone()
}

async fn resource_version(client: &Client, name: &str) -> String {
    let answer =
        call(client, Method::GET, &api::path_of(&topology(name)), "application/json", &Value::Null).await;
    answer.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

/// Runs `lockstep status`. Returns its exit code, standard output and standard error.
async fn status(kubeconfig: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.arg("status").args(arguments).env("KUBECONFIG", kubeconfig).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_condition_follows_the_live_webhook_configurations() {
    let (control_plane, client) = start().await;
    let kubeconfig = control_plane.kubeconfig_path();
    let serve = Serve::start(&["--webhook-configuration", "lockstep"], Some(kubeconfig)).await;
    create(&client, &topology("one")).await;
    let missing = until(&client, "one", "NoConfiguration").await;
    assert_eq!(missing.status, "False");
    assert_eq!(
        missing.message,
        "MutatingWebhookConfiguration `lockstep` does not exist: install the chart again; \
         ValidatingWebhookConfiguration `lockstep` does not exist: install the chart again"
    );
    assert_eq!(status(kubeconfig, &[]).await.0, 1);

    register(&client, control_plane.ca_pem()).await;
    let covered = until(&client, "one", "Covered").await;
    assert_eq!((covered.status.as_str(), covered.observed_generation), ("True", Some(1)));
    let (code, out, err) = status(kubeconfig, &[]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\none   True     "), "{out}");
    wait::until(&serve.admin, "/metrics", |_, text| {
        text.contains("lockstep_topologies_guarded{guarded=\"true\"} 1\n")
            && text.contains("lockstep_topologies_guarded{guarded=\"false\"} 0\n")
    })
    .await;

    set_failure_policy(&client, "Ignore").await;
    let open = until(&client, "one", "FailsOpen").await;
    assert!(open.message.contains("`failurePolicy` `Ignore`"), "{}", open.message);
    assert!(open.last_transition_time.0 >= covered.last_transition_time.0);
    assert_eq!(status(kubeconfig, &[]).await.0, 1);

    delete(&client, CONFIGURATIONS[0]).await;
    let gone = until(&client, "one", "NoConfiguration").await;
    // The status was False before: no transition.
    assert_eq!(gone.last_transition_time, open.last_transition_time);
    delete(&client, CONFIGURATIONS[1]).await;
    register(&client, control_plane.ca_pem()).await;
    assert_eq!(until(&client, "one", "Covered").await.status, "True");

    // The spec changes, so the old verdict is out of date.
    let mut other = topology("one");
    other["spec"] = json!({"enforcement": "Warn"});
    api::change(&client, &topology("one"), &other).await;
    let is_observed = |topologies: &TopologyStatuses| {
        condition(topologies, "one").is_some_and(|condition| condition.observed_generation == Some(2))
    };
    let topologies = topology_status::wait(client.clone(), DEADLINE, is_observed).await.unwrap();
    assert_eq!(topologies["one"].status.observed_generation, Some(2));
}

/// Replicas of two versions may judge the same state differently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_disagree_do_not_flap() {
    let (control_plane, client) = start().await;
    register(&client, control_plane.ca_pem()).await;
    create(&client, &topology("one")).await;
    // One of them does not find its CA in the configurations.
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem();
    let replicas = [
        Replica::start(control_plane.client().await.unwrap(), None),
        Replica::start(control_plane.client().await.unwrap(), Some(&other)),
    ];
    let writes = || replicas.iter().map(Replica::stored).sum::<u64>();
    assert!(wait::until_so(async || writes() > 0).await, "nothing is written");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(writes() <= 3, "{} writes in 20 s", writes());
    for replica in replicas {
        replica.stop().await;
    }
}

/// The first replica to notice a change writes it, and no other one writes it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_write_each_change_once() {
    let (control_plane, client) = start().await;
    register(&client, control_plane.ca_pem()).await;
    create(&client, &topology("one")).await;
    let replicas = [
        Replica::start(control_plane.client().await.unwrap(), None),
        Replica::start(control_plane.client().await.unwrap(), None),
    ];
    until(&client, "one", "Covered").await;
    for _ in 0..5 {
        set_failure_policy(&client, "Ignore").await;
        until(&client, "one", "FailsOpen").await;
        set_failure_policy(&client, "Fail").await;
        until(&client, "one", "Covered").await;
    }
    let version = resource_version(&client, "one").await;
    // A replica that has judged a later topology has handled everything before it.
    for (later, all) in [("two", 2), ("three", 3)] {
        create(&client, &topology(later)).await;
        for replica in &replicas {
            replica.until("topologies_guarded{guarded=\"true\"}", |guarded| guarded == all).await;
        }
        until(&client, later, "Covered").await;
    }
    assert_eq!(resource_version(&client, "one").await, version);
    let stored: Vec<u64> = replicas.iter().map(Replica::stored).collect();
    assert_eq!(stored.iter().sum::<u64>(), 1 + 10 + 2, "{stored:?}");
    for replica in replicas {
        assert_eq!(replica.metric("status_writes_total{result=\"failed\"}"), 0);
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topology_is_not_guarded_if_the_ca_bundle_lacks_the_serving_ca() {
    let (control_plane, client) = start().await;
    register(&client, control_plane.ca_pem()).await;
    create(&client, &topology("one")).await;
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem();
    let replica = Replica::start(client.clone(), Some(&other));
    until(&client, "one", "OtherCaBundle").await;
    replica.trust_anchors.send_replace(Some(control_plane.ca_pem().to_owned()));
    until(&client, "one", "Covered").await;
    replica.stop().await;
}

/// The account has the rights that status needs and no others. The right to write is granted late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_status_write_is_retried() {
    let (control_plane, client) = start().await;
    register(&client, control_plane.ca_pem()).await;
    create(&client, &topology("one")).await;
    let watched = [
        json!({"apiGroups": ["lockstep.dev"], "resources": ["gatewaytopologies"], "verbs": ["list", "watch"]}),
        json!({
            "apiGroups": ["admissionregistration.k8s.io"], "resources": CONFIGURATIONS,
            "resourceNames": ["lockstep"], "verbs": ["get", "list", "watch"],
        }),
    ];
    grant(&client, "watches", &json!(watched)).await;
    let replica = Replica::start(control_plane.client_as("alice").await.unwrap(), None);
    replica.until("status_writes_total{result=\"failed\"}", |failed| failed > 1).await;
    assert_eq!(replica.stored(), 0);
    let written = json!([{"apiGroups": ["lockstep.dev"], "resources": ["gatewaytopologies/status"], "verbs": ["patch"]}]);
    grant(&client, "writes", &written).await;
    until(&client, "one", "Covered").await;
    replica.stop().await;
}

pub async fn grant(client: &Client, name: &str, rules: &Value) {
    let group = "rbac.authorization.k8s.io";
    let object =
        |kind: &str| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": name}});
    let mut role = object("ClusterRole");
    role["rules"] = rules.clone();
    create(client, &role).await;
    let mut binding = object("ClusterRoleBinding");
    binding["roleRef"] = json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
    binding["subjects"] = json!([{"apiGroup": group, "kind": "User", "name": "alice"}]);
    create(client, &binding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_of_status_says_whether_all_topologies_are_guarded() {
    let nowhere = Path::new("/nonexistent");
    let (code, out, err) = status(nowhere, &[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("lockstep: no cluster is configured: "), "{err}");
    assert!(err.contains("/nonexistent") && err.ends_with("or run in a pod\n"), "{err}");
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("kubeconfig");
    std::fs::write(&wrong, "clusters: 1").unwrap();
    let (code, _, err) = status(&wrong, &[]).await;
    assert_eq!(code, 2);
    assert!(err.starts_with("lockstep: the kubeconfig cannot be used: failed to parse"), "{err}");

    let control_plane = ControlPlane::start().await.unwrap();
    let (kubeconfig, client) = (control_plane.kubeconfig_path(), control_plane.client().await.unwrap());
    for arguments in [&[][..], &["--wait", "1"]] {
        let (code, out, err) = status(kubeconfig, arguments).await;
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert_eq!(
            err,
            "lockstep: the kind `GatewayTopology` is not installed: apply the output of `lockstep crd`\n"
        );
    }

    control_plane.install_topologies().await.unwrap();
    let (code, out, _) = status(kubeconfig, &[]).await;
    assert_eq!(code, 1);
    assert!(out.starts_with("there is no GatewayTopology in the cluster"), "{out}");
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.arg("status").env("KUBECONFIG", kubeconfig).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.starts_with("lockstep: standard output cannot be written"), "{err}");

    create(&client, &topology("one")).await;
    for arguments in [&["-o", "json"][..], &["-o", "json", "--wait", "1"]] {
        let (code, out, _) = status(kubeconfig, arguments).await;
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &document["topologies"][0]["guarded"]), (1, &json!("Unknown")), "{out}");
    }

    let patient = status(kubeconfig, &["--wait", "60"]);
    let guarded = async {
        register(&client, control_plane.ca_pem()).await;
        Replica::start(client.clone(), None)
    };
    let ((code, out, _), replica) = tokio::join!(patient, guarded);
    assert_eq!(code, 0, "{out}");
    replica.stop().await;
}
