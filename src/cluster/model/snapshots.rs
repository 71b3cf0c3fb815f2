//! Snapshots against an API server that changes and fails.
//!
//! At every moment, what a snapshot says of a kind is what the API server held within the last `--stale-after`, and never what it
//! held before something that an earlier snapshot said. After the API server has recovered, it is what the API server holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lockstep_test_support::number;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::{READ_TIMEOUT, STALE_AFTER, WatchMetrics, run};
use super::api_server::{ApiServer, Fault, Mode};
use super::on_paused_clock;
use crate::snapshot::Snapshot;

const NODES: &str = "/api/v1/nodes";
const TOPOLOGIES: &str = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";
const PODS: &str = "/api/v1/pods";
const ADVERTISEMENTS: &str = "/apis/metallb.io/v1beta1/l2advertisements";
const POOLS: &str = "/apis/metallb.io/v1beta1/ipaddresspools";

/// The time within which everything is known again once the API server has recovered: a list that hangs is given up, and retried.
const RECOVERY: Duration = READ_TIMEOUT.saturating_add(Duration::from_secs(60));

/// A check of staleness is at most this late: the time between two checks and the pause between two snapshots.
const SLACK: Duration = Duration::from_millis(500);

/// A step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    ChangeNode,
    DeleteNode,
    /// The pod gets the gateway's labels, or loses them.
    RelabelPod,
    ChangeAdvertisement,
    DeleteAdvertisement,
    DeleteTopology,
    RemoveMetallb,
    Bookmark,
    EndWatches,
    BreakConnections,
    SendErrors,
    Compact,
    Refuse(u16),
    Hang,
    Recover,
}

use Event::{
    Bookmark, BreakConnections, ChangeAdvertisement, ChangeNode, Compact, DeleteAdvertisement, DeleteNode,
    DeleteTopology, EndWatches, Hang, Recover, Refuse, RelabelPod, RemoveMetallb, SendErrors,
};

const EVENTS: [Event; 17] = [
    ChangeNode,
    DeleteNode,
    RelabelPod,
    ChangeAdvertisement,
    DeleteAdvertisement,
    DeleteTopology,
    RemoveMetallb,
    Bookmark,
    EndWatches,
    BreakConnections,
    SendErrors,
    Compact,
    Refuse(403),
    Refuse(500),
    Refuse(410),
    Hang,
    Recover,
];

/// The times after a step: none, less than a retry, and longer than a watch is used without news.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(150), Duration::from_secs(130)];

type Schedule = [(Event, Duration)];

/// The objects of a kind by name, each with the value that distinguishes its versions; `None` if the kind is not served.
type Held = Option<BTreeMap<String, String>>;

/// The objects of one kind that the API server has held, each with the time since when.
#[derive(Default)]
struct History {
    held: Vec<(Instant, Held)>,
    /// The first state that the last snapshot can have come from.
    seen: usize,
}

impl History {
    fn push(&mut self, held: Held) {
        if self.held.last().is_none_or(|(_, last)| *last != held) {
            self.held.push((Instant::now(), held));
        }
    }

    /// Checks what a snapshot says.
    fn check(&mut self, kind: &str, said: &Held) -> Result<(), String> {
        let now = Instant::now();
        let is_of = |index: usize| self.held[index].1 == *said;
        let Some(seen) = (self.seen..self.held.len()).find(|index| is_of(*index)) else {
            return Err(format!("{kind}: {said:?} was never so, or is older than what was said before"));
        };
        self.seen = seen;
        // Until when the newest such state lasted.
        let newest = (seen..self.held.len()).rev().find(|index| is_of(*index)).unwrap();
        let Some((end, _)) = self.held.get(newest + 1) else { return Ok(()) };
        match now.duration_since(*end) {
            age if age > STALE_AFTER + SLACK => Err(format!("{kind}: {said:?} ended {age:?} ago")),
            _ => Ok(()),
        }
    }

    fn newest(&self) -> &Held {
        &self.held.last().unwrap().1
    }
}

/// The product on an API server.
struct World {
    server: ApiServer,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    kinds: [History; 4],
    has_topology: bool,
    has_metallb: bool,
    is_gateway: bool,
    /// The value of the next version of an object.
    next: u32,
}

const KINDS: [&str; 4] = ["nodes", "topologies", "pods", "advertisements"];

impl World {
    async fn start(fault: Fault) -> Self {
        let server = ApiServer::with_fault(fault);
        let (publish, snapshots) = watch::channel(None);
        tokio::spawn(run(
            server.client(),
            publish,
            None,
            WatchMetrics::default(),
            STALE_AFTER,
            CancellationToken::new(),
        ));
        let mut world = Self {
            server,
            snapshots,
            kinds: Default::default(),
            has_topology: true,
            has_metallb: true,
            is_gateway: false,
            next: 0,
        };
        for name in ["a", "b", "c"] {
            world.server.put(NODES, ("", name), Some(node("0")));
        }
        world.server.put(TOPOLOGIES, ("", "one"), Some(topology()));
        world.server.put(ADVERTISEMENTS, ("metallb-system", "a"), Some(advertisement("0")));
        world.record();
        sleep(Duration::from_secs(1)).await;
        world
    }

    fn act(&mut self, event: Event) {
        self.next += 1;
        let value = self.next.to_string();
        match event {
            ChangeNode => self.server.put(NODES, ("", "a"), Some(node(&value))),
            DeleteNode => self.server.put(NODES, ("", "a"), None),
            RelabelPod => {
                self.is_gateway = !self.is_gateway;
                self.server.put(PODS, ("istio-system", "p"), Some(pod(self.is_gateway)));
            }
            ChangeAdvertisement if self.has_metallb => {
                let object = Some(advertisement(&value));
                self.server.put(ADVERTISEMENTS, ("metallb-system", "a"), object);
            }
            DeleteAdvertisement if self.has_metallb => {
                self.server.put(ADVERTISEMENTS, ("metallb-system", "a"), None);
            }
            // The kinds come back without objects.
            RemoveMetallb | ChangeAdvertisement | DeleteAdvertisement => {
                self.has_metallb = !self.has_metallb;
                self.server.serve(ADVERTISEMENTS, self.has_metallb);
                self.server.serve(POOLS, self.has_metallb);
            }
            DeleteTopology => {
                self.has_topology = !self.has_topology;
                self.server.put(TOPOLOGIES, ("", "one"), self.has_topology.then(topology));
            }
            Bookmark => self.server.send_bookmarks(),
            EndWatches => self.server.end_watches(),
            BreakConnections => self.server.break_connections(),
            SendErrors => self.server.send_errors(),
            Compact => self.server.compact(),
            Refuse(status) => self.server.set_mode(Mode::Refuses(status)),
            Hang => self.server.set_mode(Mode::Hangs),
            Recover => self.server.set_mode(Mode::Answers),
        }
        self.record();
    }

    /// Records what the API server holds now.
    fn record(&mut self) {
        let value = |resource: &str, key: (&str, &str), path: &str| {
            let object = self.server.get(resource, key)?;
            Some(object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        let named = |name: &str, value: Option<String>| -> Held {
            Some(value.map(|value| (name.to_owned(), value)).into_iter().collect())
        };
        let nodes = ["a", "b", "c"].into_iter();
        let nodes = nodes
            .filter_map(|name| Some((name.to_owned(), value(NODES, ("", name), "/metadata/labels/value")?)));
        let pod = self.is_gateway.then(String::new);
        let advertisement = value(ADVERTISEMENTS, ("metallb-system", "a"), "/spec/ipAddressPools/0");
        let now = [
            Some(nodes.collect()),
            named("one", self.has_topology.then(String::new)),
            named("p", pod),
            self.has_metallb.then(|| named("a", advertisement)).flatten(),
        ];
        self.kinds.iter_mut().zip(now).for_each(|(kind, now)| kind.push(now));
    }

    /// The objects of each kind in the present snapshot; `None` for a kind of which it says nothing.
    fn said(&self) -> [Option<Held>; 4] {
        let snapshot = self.snapshots.borrow().clone();
        let Some(inventory) = snapshot.as_ref().and_then(|it| it.state()).map(|state| &state.inventory)
        else {
            return Default::default();
        };
        let nodes = inventory.nodes.iter().map(|(name, labels)| {
            (name.clone(), labels.get("value").map(ToString::to_string).unwrap_or_default())
        });
        let topologies = inventory.topologies.keys().map(|name| (name.clone(), String::new()));
        let pods = inventory.pods.keys().map(|key| (key.name.clone(), String::new()));
        let advertisements =
            inventory.advertisements.iter().map(|(key, spec)| (key.name.clone(), spec.pools.concat()));
        let is_known =
            |namespace: &str| !inventory.topologies.is_empty() && !inventory.pending.contains(namespace);
        let held = |objects: BTreeMap<String, String>| Some(Some(objects));
        let advertisements =
            if inventory.lacks_metallb { Some(None) } else { held(advertisements.collect()) };
        [
            held(nodes.collect()),
            held(topologies.collect()),
            held(pods.collect()).filter(|_| is_known("istio-system")),
            advertisements.filter(|_| is_known("metallb-system")),
        ]
    }

    fn check(&mut self) -> Result<(), String> {
        let said = self.said();
        for ((history, said), kind) in self.kinds.iter_mut().zip(said).zip(KINDS) {
            if let Some(said) = said {
                history.check(kind, &said)?;
            }
        }
        Ok(())
    }

    /// Lets the API server recover, and checks that everything is known as it is.
    async fn recover(&mut self) -> Result<(), String> {
        self.act(Recover);
        if !self.has_topology {
            self.act(DeleteTopology);
        }
        sleep(RECOVERY).await;
        self.check()?;
        for ((history, said), kind) in self.kinds.iter().zip(self.said()).zip(KINDS) {
            if said.as_ref() != Some(history.newest()) {
                return Err(format!("{kind} after the recovery: {said:?} instead of {:?}", history.newest()));
            }
        }
        Ok(())
    }
}

fn node(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"value": value}}})
}

fn topology() -> Value {
    json!({
        "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
        "metadata": {"uid": "1", "generation": 1}, "spec": {},
    })
}

fn pod(is_gateway: bool) -> Value {
    let app = if is_gateway { "istio-ingressgateway" } else { "other" };
    let labels = json!({"app": app, "istio": "ingressgateway"});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels}, "spec": {"containers": []}})
}

fn advertisement(pool: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {}, "spec": {"ipAddressPools": [pool]},
    })
}

/// Runs a schedule. The error says which rule is broken, and after which step.
fn run_schedule(schedule: &Schedule, fault: Fault) -> Result<(), String> {
    on_paused_clock(async {
        let mut world = World::start(fault).await;
        world.check().map_err(|problem| format!("at first: {problem}"))?;
        for (index, (event, pause)) in schedule.iter().enumerate() {
            world.act(*event);
            // A moment later, everything that has arrived is published, and a pause shows what follows.
            for wait in [Duration::from_millis(1), *pause] {
                sleep(wait).await;
                world.check().map_err(|problem| format!("after step {index}: {problem}"))?;
            }
        }
        world.recover().await
    })
}

/// A schedule that breaks a rule, without the steps that do not matter.
struct Broken(Vec<(Event, Duration)>, String);

impl Broken {
    fn shrunk(schedule: &Schedule, problem: String, fault: Fault) -> Self {
        let mut smallest = Self(schedule.to_vec(), problem);
        let mut index = 0;
        while index < smallest.0.len() {
            let mut fewer = smallest.0.clone();
            fewer.remove(index);
            match run_schedule(&fewer, fault) {
                Err(problem) => smallest = Self(fewer, problem),
                Ok(()) => index += 1,
            }
        }
        smallest
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {:?}", self.1, self.0)
    }
}

fn steps() -> Vec<(Event, Duration)> {
    EVENTS.into_iter().flat_map(|event| PAUSES.map(|pause| (event, pause))).collect()
}

/// All schedules of this length.
fn exhaustive(length: u32, fault: Fault) -> Result<usize, Broken> {
    let steps = steps();
    let count = steps.len().pow(length);
    for number in 0..count {
        let of = |place| steps[number / steps.len().pow(place) % steps.len()];
        let schedule: Vec<_> = (0..length).map(of).collect();
        run_schedule(&schedule, fault).map_err(|problem| Broken::shrunk(&schedule, problem, fault))?;
    }
    Ok(count)
}

/// Random schedules of up to 30 steps.
fn random(seed: u64, count: u64, fault: Fault) -> Result<(), Broken> {
    let steps = steps();
    for number in 0..count {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(number));
        let schedule: Vec<_> = (0..random.usize(3..30)).map(|_| steps[random.usize(..steps.len())]).collect();
        run_schedule(&schedule, fault).map_err(|problem| Broken::shrunk(&schedule, problem, fault))?;
    }
    Ok(())
}

#[test]
fn a_snapshot_is_never_older_than_allowed_and_never_goes_back_in_all_short_schedules() {
    let length = number("LOCKSTEP_SCHEDULE_LENGTH", 1);
    let start = std::time::Instant::now();
    let count = exhaustive(length, Fault::None).unwrap();
    println!("evidence: snapshots: {count} schedules of {length} steps in {:.0?}", start.elapsed());
}

#[test]
fn a_snapshot_is_never_older_than_allowed_and_never_goes_back_in_random_schedules() {
    let (seed, count) = (number("LOCKSTEP_SEED", 0_u64), number("LOCKSTEP_SCHEDULES", 30));
    let start = std::time::Instant::now();
    random(seed, count, Fault::None).unwrap();
    println!("evidence: snapshots: {count} random schedules of seed {seed} in {:.0?}", start.elapsed());
}

/// The model notices what a lost event does.
#[test]
fn an_api_server_that_loses_events_breaks_the_rules() {
    let missed = [BreakConnections, ChangeNode, Compact].map(|event| (event, Duration::ZERO));
    let deleted = [(DeleteNode, Duration::ZERO)];
    let schedules: [(Fault, &Schedule); 2] =
        [(Fault::ForgetsExpiry, &missed), (Fault::ForgetsDeletions, &deleted)];
    for (fault, schedule) in schedules {
        assert_eq!(run_schedule(schedule, Fault::None), Ok(()));
        let problem = run_schedule(schedule, fault).expect_err("the lost event is noticed");
        assert!(problem.starts_with("nodes"), "{fault:?}: {problem}");
    }
}
