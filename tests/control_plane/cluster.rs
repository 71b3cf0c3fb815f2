//! Watches on a real API server: the snapshots that they lead to, and the rights that they need.

use std::sync::Arc;

use axum::http::StatusCode;
use kube::Client;
use lockstep::cluster::{self, WatchMetrics};
use lockstep::objects::{L2Advertisement, Object, Pod};
use lockstep::rules::Change;
use lockstep::snapshot::{ObjectKey, Snapshot};
use lockstep_test_support::api::{self, create};
use lockstep_test_support::control_plane::{ControlPlane, MetalLb};
use lockstep_test_support::objects::{self, namespace};
use lockstep_test_support::wait;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The watches under test.
struct Watches {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    registry: Registry,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), cluster::Error>>,
}

impl Watches {
    fn start(client: Client) -> Self {
        let (publish, snapshots) = watch::channel(None);
        let (metrics, shutdown) = (WatchMetrics::default(), CancellationToken::new());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let task = tokio::spawn(cluster::run(
            client,
            publish,
            None,
            metrics,
            cluster::STALE_AFTER,
            shutdown.clone(),
        ));
        Self { snapshots, registry, shutdown, task }
    }

    /// Waits for a snapshot that `wanted` accepts. It is looked for again and again: the whole state joins a snapshot without waking its
    /// readers, because reviews take the newest one each time.
    async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut found = None;
        let is_there = async || {
            found = self.snapshots.borrow().clone().filter(|snapshot| wanted(snapshot));
            found.is_some()
        };
        assert!(wait::until_so(is_there).await, "not seen: {what}");
        found.unwrap()
    }

    /// Waits until the metrics have a line with this prefix.
    async fn until_counted(&self, line: &str) {
        assert!(wait::until_so(async || self.counts(line)).await, "{line} is not in\n{}", self.metrics());
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics().lines().any(|held| held.starts_with(line))
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn create_namespaces(client: &Client) {
    for name in ["istio-system", "metallb-system"] {
        let namespace = namespace(name);
        create(client, &namespace).await;
    }
}

async fn delete(client: &Client, object: &Value) {
    assert_eq!(api::delete(client, object).await.status, StatusCode::OK);
}

fn topology(spec: &Value) -> Value {
    objects::topology("one", spec)
}

fn node(name: &str, value: &str) -> Value {
    objects::node(name, &json!({"loadbalancerIPs.metallb.io": value}))
}

fn advertisement(name: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"ipAddressPoolSelectors": [{"matchLabels": {"tier": "edge"}}]},
    })
}

fn pool() -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": "default-pool", "namespace": "metallb-system", "labels": {"tier": "edge"}},
        "spec": {"addresses": ["192.0.2.0/28"]},
    })
}

fn pod(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "istio-system",
            "labels": {"app": app, "istio": "ingressgateway", "canary": "yes"},
        },
        "spec": {"containers": [{"name": "proxy", "image": "istio/proxyv2"}]},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "gateway", "namespace": "istio-system", "labels": {"who": "gateway"}},
        "spec": {"type": "LoadBalancer", "selector": {"canary": "yes"}, "ports": [{"port": 80}]},
    })
}

fn creation(namespace: &str, object: Object) -> Change {
    Change::create(namespace, "some", object)
}

fn knows_pods(snapshot: &Snapshot, namespace: &str) -> bool {
    snapshot.know(&creation(namespace, Object::Pod(Pod::default())))
}

fn knows_advertisements(snapshot: &Snapshot) -> bool {
    let object = Object::L2Advertisement(L2Advertisement::default());
    snapshot.know(&creation("metallb-system", object))
}

fn is_announced_by(snapshot: &Snapshot, name: &str) -> bool {
    let key = ObjectKey { namespace: "metallb-system".to_owned(), name: name.to_owned() };
    let mut pools = snapshot.topologies().iter().flat_map(|topology| &topology.pools);
    pools.any(|pool| pool.advertisements.contains(&key))
}

fn node_value<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s str> {
    let labels = snapshot.nodes().labels(name)?;
    labels.get("loadbalancerIPs.metallb.io").map(smol_str::SmolStr::as_str)
}

#[tokio::test]
async fn snapshots_follow_the_cluster() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespaces(&client).await;
    let gateway = pod("gateway", "istio-ingressgateway");
    for object in [node("a", "arp"), pool(), service(), gateway, pod("other", "other")] {
        create(&client, &object).await;
    }

    let watches = Watches::start(client.clone());
    let snapshot = watches.until("the first snapshot", |_| true).await;
    assert!(snapshot.topologies().is_empty());
    assert_eq!(node_value(&snapshot, "a"), Some("arp"));

    create(&client, &topology(&json!({}))).await;
    watches.until_counted("topologies_enforced 1").await;
    // The count may be ahead of the snapshot that is received next.
    let is_known = |snapshot: &Snapshot| {
        !snapshot.topologies().is_empty()
            && knows_pods(snapshot, "istio-system")
            && knows_advertisements(snapshot)
    };
    let snapshot = watches.until("the topology and what it depends on", is_known).await;
    // The Service belongs to the gateway only through a label of the live pod.
    let services: Vec<_> = snapshot.topologies()[0].services.iter().collect();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0]["who"], "gateway");
    for line in [
        "topologies_invalid 0",
        "objects{kind=\"Pod\"} 1",
        "objects{kind=\"Service\"} 1",
        "objects{kind=\"IPAddressPool\"} 1",
        "watch_last_contact_timestamp_seconds{kind=\"Pod\"} 1",
    ] {
        watches.until_counted(line).await;
    }

    create(&client, &advertisement("edge")).await;
    watches.until("a new advertisement", |snapshot| is_announced_by(snapshot, "edge")).await;
    api::change(&client, &node("a", "arp"), &node("a", "bgp")).await;
    watches.until("a changed label", |snapshot| node_value(snapshot, "a") == Some("bgp")).await;
    create(&client, &node("b", "arp")).await;
    watches.until("a new node", |snapshot| node_value(snapshot, "b").is_some()).await;
    delete(&client, &node("a", "bgp")).await;
    watches.until("a node that went", |snapshot| node_value(snapshot, "a").is_none()).await;
    delete(&client, &advertisement("edge")).await;
    watches.until("an advertisement that went", |snapshot| !is_announced_by(snapshot, "edge")).await;
    delete(&client, &topology(&json!({}))).await;
    watches.until("a topology that went", |snapshot| snapshot.topologies().is_empty()).await;
    watches.until_counted("objects{kind=\"Pod\"} 0").await;
    watches.stop().await;
}

#[tokio::test]
async fn a_kind_may_be_installed_later_and_removed_again() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespaces(&client).await;
    let watches = Watches::start(client.clone());
    watches.until_counted("watch_errors_total{kind=\"GatewayTopology\"} 1").await;
    assert!(watches.snapshots.borrow().is_none());

    control_plane.install_topologies().await.unwrap();
    create(&client, &topology(&json!({}))).await;
    let snapshot = watches
        .until("pods without MetalLB", |snapshot| {
            !snapshot.topologies().is_empty() && knows_pods(snapshot, "istio-system")
        })
        .await;
    // This snapshot has no advertisements, which a request about an advertisement would disprove.
    assert!(!knows_advertisements(&snapshot));

    control_plane.install_metallb(MetalLb::V0_13_5).await.unwrap();
    watches.until("MetalLB", knows_advertisements).await;
    create(&client, &pool()).await;
    create(&client, &advertisement("edge")).await;
    watches.until("an advertisement", |snapshot| is_announced_by(snapshot, "edge")).await;

    let name = "l2advertisements.metallb.io";
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
    });
    delete(&client, &definition).await;
    watches.until("that MetalLB went", |snapshot| !knows_advertisements(snapshot)).await;
    watches.stop().await;
}

/// The account has the rights that the watches need and no others. Its rights in namespaces are granted late.
#[tokio::test]
async fn a_namespace_is_pending_until_its_roles_allow_its_watches() {
    let control_plane = ControlPlane::start().await.unwrap();
    control_plane.install_topologies().await.unwrap();
    control_plane.install_metallb(MetalLb::default()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespaces(&client).await;
    create(&client, &pod("gateway", "istio-ingressgateway")).await;
    create(&client, &topology(&json!({}))).await;
    let nodes = may_watch("", &["nodes"]);
    let topologies = may_watch("lockstep.dev", &["gatewaytopologies"]);
    grant(&client, None, &[nodes, topologies]).await;

    let watches = Watches::start(control_plane.client_as("alice").await.unwrap());
    let snapshot = watches.until("the topology", |snapshot| !snapshot.topologies().is_empty()).await;
    assert!(knows_pods(&snapshot, "elsewhere"));
    assert!(!knows_pods(&snapshot, "istio-system") && !knows_pods(&snapshot, "metallb-system"));
    assert!(watches.counts("topologies_enforced 0"));

    let gateway = may_watch("", &["pods", "services"]);
    grant(&client, Some("istio-system"), &[gateway]).await;
    let metallb = may_watch("metallb.io", &["ipaddresspools", "l2advertisements"]);
    grant(&client, Some("metallb-system"), &[metallb]).await;
    watches.until("gateway pods", |snapshot| knows_pods(snapshot, "istio-system")).await;
    watches.until("advertisements", knows_advertisements).await;
    watches.until_counted("objects{kind=\"Pod\"} 1").await;
    watches.stop().await;
}

fn may_watch(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]})
}

/// Grants these rights to `alice`, in one namespace or in the cluster.
async fn grant(client: &Client, namespace: Option<&str>, rules: &[Value]) {
    let (group, scope) = ("rbac.authorization.k8s.io", namespace.map_or("Cluster", |_| ""));
    let object = |kind: &str, rest: Value| {
        let mut object = json!({
            "apiVersion": format!("{group}/v1"),
            "kind": format!("{scope}{kind}"),
            "metadata": {"name": "lockstep", "namespace": namespace},
        });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    create(client, &object("Role", json!({"rules": rules}))).await;
    let binding = json!({
        "roleRef": {"apiGroup": group, "kind": format!("{scope}Role"), "name": "lockstep"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
    });
    create(client, &object("RoleBinding", binding)).await;
}
