//! Load on three replicas and a real API server, while one thing after the other changes or fails: certificates, replicas, the API
//! server, etcd, nodes, strangers at the port. The first replica lives through all of it, and nobody reads its decision log.
//!
//! `LOCKSTEP_SOAK_SECONDS` is the time; without it, each thing happens once.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::http::Method;
use kube::Client;
use lockstep_test_support::api::{create, try_call};
use lockstep_test_support::balancer::Balancer;
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::load::{Load, Record};
use lockstep_test_support::objects::{self, LABEL};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::usage::Usage;
use lockstep_test_support::{replica, wait};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// 50 admissions a second.
const BURSTS: &[usize] = &[5];
const EVERY: Duration = Duration::from_millis(100);

/// The time that endpoints and kube-proxy need to direct new connections to other replicas. `--drain` covers it.
const LAG: Duration = Duration::from_millis(500);

/// The time from one event to the next.
const PAUSE: Duration = Duration::from_secs(4);

/// The time after the end of an event in which what it broke may still fail: the webhook's timeout, and a moment.
const AFTERMATH: Duration = Duration::from_secs(6);

/// An event around the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Rotation,
    Replaced,
    Killed,
    Relabelled,
    Strangers,
    ApiServerRestarted,
    EtcdStalled,
}

impl Happening {
    const ALL: [Self; 7] = [
        Self::Rotation,
        Self::Replaced,
        Self::Killed,
        Self::Relabelled,
        Self::Strangers,
        Self::ApiServerRestarted,
        Self::EtcdStalled,
    ];

    /// Whether the design lets calls fail: those on the connections of a killed replica, and those that the API server itself
    /// loses.
    const fn may_fail_calls(self) -> bool {
        matches!(self, Self::Killed | Self::ApiServerRestarted | Self::EtcdStalled)
    }
}

struct Cluster {
    control_plane: ControlPlane,
    balancer: Balancer,
    /// The replica that stays.
    oldest: Serve,
    others: Vec<Serve>,
    relabelled: bool,
}

impl Cluster {
    async fn start() -> Self {
        let balancer = Balancer::start_as_service([]).await;
        let (control_plane, client) = replica::start_furnished(&balancer.address).await;
        create(&client, &objects::node("n1", &json!({LABEL: "arp"}))).await;
        create(&client, &replica::topology("arp")).await;
        let oldest = replica(&control_plane, Stdio::piped()).await;
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(replica(&control_plane, Stdio::null()).await);
        }
        let cluster = Self { control_plane, balancer, oldest, others, relabelled: false };
        cluster.endpoints_are_known();
        cluster
    }

    fn endpoints_are_known(&self) {
        let replicas = [&self.oldest].into_iter().chain(&self.others);
        self.balancer.set(replicas.map(|replica| replica.webhook.clone()));
    }

    async fn client(&self) -> Client {
        self.control_plane.client().await.unwrap()
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Rotation => {
                let path = "/api/v1/namespaces/lockstep-system/secrets/lockstep-ca";
                self.patch(path, &json!({"stringData": {"rotate": ""}})).await;
            }
            Happening::Replaced => {
                self.surge().await;
                let mut replaced = self.others.remove(0);
                replaced.signal("TERM");
                wait::until(&replaced.admin, "/readyz", |status, _| status == 503).await;
                tokio::time::sleep(LAG).await;
                self.endpoints_are_known();
                let (code, said) = replaced.ended().await;
                assert_eq!(code, Some(0), "{said:?}");
            }
            Happening::Killed => {
                self.surge().await;
                let mut killed = self.others.remove(0);
                killed.child.kill().await.unwrap();
                tokio::time::sleep(LAG).await;
                self.endpoints_are_known();
            }
            Happening::Relabelled => {
                self.relabelled = !self.relabelled;
                let value = if self.relabelled { json!("spare") } else { json!("arp") };
                self.patch("/api/v1/nodes/n1", &json!({"metadata": {"labels": {LABEL: value}}})).await;
            }
            Happening::Strangers => self.strangers().await,
            Happening::ApiServerRestarted => {
                self.control_plane.stop_api_server().await.unwrap();
                self.control_plane.start_api_server().await.unwrap();
            }
            Happening::EtcdStalled => {
                self.control_plane.pause_etcd().unwrap();
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.control_plane.resume_etcd().unwrap();
            }
        }
    }

    /// Starts one more replica, and tells the load balancer once it is ready.
    async fn surge(&mut self) {
        self.others.push(replica(&self.control_plane, Stdio::null()).await);
        tokio::time::sleep(LAG).await;
        self.endpoints_are_known();
    }

    /// Holds more connections than a replica has places, of which none begins a handshake.
    async fn strangers(&self) {
        let mut held = Vec::new();
        for _ in 0..1200 {
            // The replica may close them, and the kernel may refuse some.
            held.extend(TcpStream::connect(&self.oldest.webhook).await);
        }
        tokio::time::sleep(LAG).await;
        assert!(held.len() > 1000, "{} connections", held.len());
    }

    /// Patches an object; until the API server has recovered from what happened before, again.
    async fn patch(&self, path: &str, patch: &Value) {
        let client = self.client().await;
        let is_done = wait::until_so(async || {
            let answer = try_call(&client, Method::PATCH, path, "application/merge-patch+json", patch).await;
            answer.is_ok_and(|answer| answer.status.is_success())
        });
        assert!(is_done.await, "`{path}` cannot be patched");
    }
}

async fn replica(control_plane: &ControlPlane, stdout: Stdio) -> Serve {
    let replica = replica::start_with_stdout(control_plane, &["--drain", "5"], stdout).await;
    wait::until_ready(&replica.admin).await;
    replica
}

/// Looks at a process every second until it is told that this is enough.
fn observe(pid: u32, mut enough: watch::Receiver<bool>) -> JoinHandle<Vec<Usage>> {
    tokio::spawn(async move {
        let mut usages = Vec::new();
        while tokio::time::timeout(Duration::from_secs(1), enough.wait_for(|enough| *enough)).await.is_err() {
            usages.push(Usage::of(pid));
        }
        usages
    })
}

/// The events that were under way at some time between both.
fn during(events: &[(Happening, Instant, Instant)], start: Instant, end: Instant) -> Vec<Happening> {
    let overlaps =
        |(_, began, ended): &&(Happening, Instant, Instant)| start < *ended + AFTERMATH && end > *began;
    events.iter().filter(overlaps).map(|(happening, ..)| *happening).collect()
}

/// The failures by the event that explains each; those that none explains.
fn explained(
    record: &Record,
    events: &[(Happening, Instant, Instant)],
) -> (BTreeMap<Happening, usize>, Vec<String>) {
    let (mut explained, mut unexplained) = (BTreeMap::new(), Vec::new());
    for (admission, why) in record.failed() {
        let causes = during(events, admission.started, admission.ended);
        match causes.iter().find(|happening| happening.may_fail_calls()) {
            Some(happening) => *explained.entry(*happening).or_default() += 1,
            None => unexplained.push(format!("{causes:?}: {why}")),
        }
    }
    (explained, unexplained)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_loses_no_call_that_the_design_does_not_name() {
    let seconds =
        std::env::var("LOCKSTEP_SOAK_SECONDS").map(|text| text.parse().expect("a number of seconds"));
    let wanted = seconds.map(Duration::from_secs).ok();
    let mut cluster = Cluster::start().await;
    let (enough, receiver) = watch::channel(false);
    let usages = observe(cluster.oldest.child.id().unwrap(), receiver);
    let load = Load::start(cluster.client().await, BURSTS, EVERY);
    let (start, mut events) = (Instant::now(), Vec::new());
    for happening in Happening::ALL.into_iter().cycle() {
        if wanted.map_or(events.len() >= Happening::ALL.len(), |wanted| start.elapsed() >= wanted) {
            break;
        }
        let began = Instant::now();
        cluster.happen(happening).await;
        events.push((happening, began, Instant::now()));
        tokio::time::sleep(PAUSE).await;
    }
    let record = load.end().await;
    enough.send_replace(true);
    let usages = usages.await.unwrap();

    let mut counts: BTreeMap<Happening, usize> = BTreeMap::new();
    events.iter().for_each(|(happening, ..)| *counts.entry(*happening).or_default() += 1);
    let (explained, unexplained) = explained(&record, &events);
    println!(
        "evidence: {:.0} s: {} admissions with the placement, {:.0} a second; {} unchecked; events: {counts:?}; failed: {explained:?}, \
         and {} that no event explains",
        record.took.as_secs_f64(),
        record.placed(),
        record.rate(),
        record.unchecked(),
        unexplained.len(),
    );
    let quarters: Vec<Usage> = usages.chunks(usages.len().div_ceil(4)).map(Usage::median).collect();
    for (quarter, usage) in quarters.iter().enumerate() {
        println!(
            "evidence: quarter {}: {:.1} MiB, {} descriptors",
            quarter + 1,
            usage.mebibytes(),
            usage.descriptors
        );
    }
    assert_eq!((record.unchecked(), unexplained), (0, Vec::new()));
    assert!(record.placed() > 0 && cluster.oldest.child.try_wait().unwrap().is_none());
    let (second, last) = (quarters[1], quarters[3]);
    // Connections come and go, and leaks only grow.
    assert!(last.descriptors <= second.descriptors + 64, "{quarters:?}");
    // In a short run, the strangers come in the third quarter.
    assert!(wanted.is_none() || last.mebibytes() <= second.mebibytes() + 16.0, "{quarters:?}");
}
