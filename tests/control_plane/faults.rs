//! Faults of dependencies: an API server that restarts, an etcd that is paused, a connection that goes silent.
//! Lockstep recovers by itself, uses no stale object for a verdict, and admits nothing unchecked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::Request;
use kube::Client;
use lockstep_test_support::api::{self, change, create};
use lockstep_test_support::balancer::Balancer;
use lockstep_test_support::control_plane::{ControlPlane, Options};
use lockstep_test_support::https::get;
use lockstep_test_support::load::{Load, Outcome, Record};
use lockstep_test_support::objects::{LABEL, gateway_pod, namespace};
use lockstep_test_support::replica::topology;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::webhook;
use lockstep_test_support::{replica, wait};

const STALE_AFTER: Duration = Duration::from_secs(10);
const RESTARTS: usize = 5;
const REPLICAS: usize = 2;

/// 20 admissions a second, because this test is no benchmark.
const BURSTS: &[usize] = &[2];
const EVERY: Duration = Duration::from_millis(100);

/// All placements so far, each with the time at which the API server had stored it.
#[derive(Default)]
struct History(Vec<(String, Instant)>);

impl History {
    /// Stores the next placement.
    async fn next(&mut self, client: &Client) {
        let value = format!("round-{}", self.0.len());
        let current = self.0.last().map(|(value, _)| topology(value));
        match current {
            None => drop(create(client, &topology(&value)).await),
            Some(current) => {
                let answer = change(client, &current, &topology(&value)).await;
                assert!(answer.status.is_success(), "{}", answer.body);
            }
        }
        self.0.push((value, Instant::now()));
    }

    /// Waits until the webhook sets the latest placement on pods. Returns how long that took.
    async fn until_seen(&self, client: &Client) -> Duration {
        let (value, stored) = self.0.last().unwrap();
        let is_seen = async || {
            let answer = api::post(client, &gateway_pod("probe"), true).await;
            answer.body["spec"]["nodeSelector"][LABEL] == **value
        };
        assert!(wait::until_so(is_seen).await, "`{value}` is not set on pods");
        stored.elapsed()
    }

    /// Returns the age of the oldest response: the time between the replacement of its placement and the request.
    fn oldest(&self, record: &Record) -> Duration {
        let age = |asked: Instant, placed: &str| {
            let position = self.0.iter().position(|(value, _)| value == placed).unwrap();
            let replaced = self.0.get(position + 1).map(|(_, stored)| *stored);
            replaced.map_or(Duration::ZERO, |replaced| asked.saturating_duration_since(replaced))
        };
        let ages = record.admissions.iter().filter_map(|admission| match &admission.outcome {
            Outcome::Placed(value) => Some(age(admission.started, value)),
            _ => None,
        });
        ages.max().unwrap()
    }

    fn assert_never_too_old(&self, record: &Record, what: &str) {
        let oldest = self.oldest(record);
        println!(
            "{what}: {} admissions with the placement, {} failed, {} unchecked; the oldest answer was {oldest:?} old: {:?}",
            record.placed(),
            record.failed().count(),
            record.unchecked(),
            record.reasons(),
        );
        assert_eq!(record.unchecked(), 0);
        assert!(oldest <= STALE_AFTER, "{oldest:?}");
    }
}

fn stale_after() -> [String; 2] {
    ["--stale-after".to_owned(), STALE_AFTER.as_secs().to_string()]
}

/// Replicas behind a load balancer, with the first placement.
struct Cluster {
    control_plane: ControlPlane,
    client: Client,
    replicas: Vec<Serve>,
    history: History,
    _balancer: Balancer,
}

impl Cluster {
    async fn start() -> Self {
        let balancer = Balancer::start([]).await;
        let (control_plane, client) = replica::start_furnished(&balancer.address).await;
        let mut history = History::default();
        history.next(&client).await;
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            let [flag, seconds] = stale_after();
            replicas.push(replica::start(&control_plane, &[&flag, &seconds]).await);
        }
        balancer.set(replicas.iter().map(|replica| replica.webhook.clone()));
        let cluster = Self { control_plane, client, replicas, history, _balancer: balancer };
        cluster.until_ready().await;
        cluster.history.until_seen(&cluster.client).await;
        cluster
    }

    async fn until_ready(&self) {
        for replica in &self.replicas {
            wait::until_ready(&replica.admin).await;
            wait::until_enforced(&replica.admin, 1).await;
        }
    }

    fn load(&self) -> Load {
        Load::start(self.client.clone(), BURSTS, EVERY)
    }

    /// Stores another placement and waits until every replica uses it. Returns how long that took.
    async fn changes(&mut self) -> Duration {
        self.history.next(&self.client).await;
        let seen = self.history.until_seen(&self.client).await;
        self.until_ready().await;
        seen
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_recover_from_restarts_of_the_api_server() {
    let mut cluster = Cluster::start().await;
    let load = cluster.load();
    let mut seen = Vec::new();
    for round in 0..RESTARTS {
        if round % 2 == 0 {
            cluster.control_plane.kill_api_server().await.unwrap();
        } else {
            cluster.control_plane.stop_api_server().await.unwrap();
        }
        // One of the restarts takes so long that the objects of the watches become stale.
        if round == RESTARTS / 2 {
            for replica in &cluster.replicas {
                wait::until(&replica.admin, "/readyz", |status, _| status == 503).await;
            }
        }
        cluster.control_plane.start_api_server().await.unwrap();
        seen.push(cluster.changes().await);
    }
    expiry_is_an_event(&cluster.client).await;
    let record = load.end().await;
    println!("changes after the restarts were seen within {seen:?}");
    cluster.history.assert_never_too_old(&record, "restarts of the API server");
    for mut replica in cluster.replicas {
        assert_eq!(replica.child.try_wait().unwrap(), None, "no replica was restarted");
    }
}

/// Tests an assumption of `cluster::liveness`: the API server accepts a watch of an expired version, and then reports
/// the expiry by an event.
async fn expiry_is_an_event(client: &Client) {
    let watch = Request::get("/api/v1/nodes?watch=true&resourceVersion=1&timeoutSeconds=5").body(Vec::new());
    let told = client.request_text(watch.unwrap()).await.unwrap();
    assert!(told.starts_with(r#"{"type":"ERROR","object":{"#) && told.contains(r#""code":410"#), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_recover_from_an_etcd_that_is_paused_for_10_seconds() {
    let mut cluster = Cluster::start().await;
    let load = cluster.load();
    cluster.changes().await;
    cluster.control_plane.pause_etcd().unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.control_plane.resume_etcd().unwrap();
    until_stored(&cluster.client).await;
    let seen = cluster.changes().await;
    let record = load.end().await;
    println!("a change after the pause was seen within {seen:?}");
    cluster.history.assert_never_too_old(&record, "a pause of etcd");
}

/// Waits until the API server stores objects again.
async fn until_stored(client: &Client) {
    let namespace = namespace("stored");
    let is_stored = async || {
        let answer = api::try_post(client, &namespace, false).await;
        answer.is_ok_and(|answer| answer.status.is_success() || answer.status == 409)
    };
    assert!(wait::until_so(is_stored).await, "the API server does not recover");
}

/// The API server is healthy and calls the webhook. Only Lockstep's own connection goes silent, without being closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_objects_are_not_used_after_the_connection_goes_silent() {
    let control_plane = ControlPlane::start_with(Options::default().alone()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let line = Balancer::start([control_plane.url().trim_start_matches("https://").to_owned()]).await;
    let (kubeconfig, _folder) = through(&control_plane, &line);
    let [flag, seconds] = stale_after();
    let mut history = History::default();
    replica::prepare(&control_plane, &client).await;
    history.next(&client).await;
    let serve = Serve::start(&[&flag, &seconds], Some(&kubeconfig)).await;
    wait::until_enforced(&serve.admin, 1).await;
    webhook::register(&client, &serve.webhook, &serve.ca_pem).await;
    history.until_seen(&client).await;

    let load = Load::start(client.clone(), BURSTS, EVERY);
    line.freeze();
    let frozen = Instant::now();
    history.next(&client).await;
    let mut last_ready = frozen;
    let is_withdrawn = async || {
        let asked = Instant::now();
        let is_ready = get(&serve.admin, "/readyz").await.0 == 200;
        if is_ready {
            last_ready = asked;
        }
        !is_ready
    };
    assert!(wait::until_so(is_withdrawn).await);
    let (withdrawn, used) = (frozen.elapsed(), last_ready - frozen);
    assert!(used <= STALE_AFTER, "{used:?}");
    // A watch ends after half of `STALE_AFTER`, so each was confirmed within that time before the connection went
    // silent.
    assert!(withdrawn >= STALE_AFTER / 2 - Duration::from_secs(1), "{withdrawn:?}");
    let refused = api::post(&client, &gateway_pod("probe"), true).await;
    assert!(refused.body["message"].as_str().unwrap().contains("failed calling webhook"), "{}", refused.body);
    let (_, metrics) = get(&serve.admin, "/metrics").await;
    let age = metrics.lines().find_map(|line| line.strip_prefix("lockstep_facts_age_seconds ")).unwrap();
    assert!(age.parse::<f64>().unwrap() >= STALE_AFTER.as_secs_f64() - 1.0, "{age}");

    line.thaw();
    let seen = history.until_seen(&client).await;
    wait::until_ready(&serve.admin).await;
    let record = load.end().await;
    println!("facts were withdrawn after {withdrawn:?}, and the change was seen {seen:?} after it was made");
    history.assert_never_too_old(&record, "a dead line");
    let reasons: BTreeSet<&str> = record.reasons();
    assert!(reasons.iter().all(|reason| reason.contains("failed calling webhook")), "{reasons:?}");
}

/// Writes a kubeconfig whose server is the address of `line`.
fn through(control_plane: &ControlPlane, line: &Balancer) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let direct = std::fs::read_to_string(control_plane.kubeconfig_path()).unwrap();
    let changed = direct.replace(control_plane.url(), &format!("https://{}", line.address));
    assert_ne!(direct, changed);
    std::fs::write(&path, changed).unwrap();
    (path, folder)
}
