//! The status of a topology, written by several replicas, over an API server that fails and other clients that write.
//!
//! Once the API server answers and every replica has the newest assessment, the stored status is the wanted one, nobody writes it
//! again, and at no time were there more writes than the limit allows. It is the wanted one soon if nobody else writes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lockstep_test_support::number;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::{
    Assessments, Observed, StatusInputs, WatchMetrics, WebhookConfigurations, reconcile_status,
};
use super::api_server::{ApiServer, Fault, Mode};
use super::on_paused_clock;
use crate::assessment::{Cause, CauseCode, TopologyAssessment};

const TOPOLOGIES: &str = "/apis/lockstep.dev/v1alpha1/gatewaytopologies";

/// The writes in a row without a pause, and the time after which one more is allowed, of each replica.
const BURST: usize = 5;
const REFILL: Duration = Duration::from_secs(10);

/// The time after which nothing is written any more: replicas yield to each other for at most an hour.
const SETTLED: Duration = Duration::from_secs(3 * 3600);

/// The delay of events. After the pause of 350ms a replica has written a status, and its watch has not received it.
const DELAY: Duration = Duration::from_millis(500);

/// The time until the status is the wanted one if one replica writes it, seldom enough for the limit.
const SOON: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A user changes the spec.
    ChangeSpec,
    /// The state changes: a replica assesses it now, and the others a step later.
    Assess(usize),
    /// The state is again as it was before, for the first replica.
    Revert,
    /// Another client writes the status.
    ForeignStatus,
    /// Events arrive late from now on.
    Delay,
    Compact,
    BreakConnections,
    Refuse(u16),
    LoseAnswers,
    Hang,
    Recover,
}

use Event::{
    Assess, BreakConnections, ChangeSpec, Compact, Delay, ForeignStatus, Hang, LoseAnswers, Recover, Refuse,
    Revert,
};

const EVENTS: [Event; 14] = [
    ChangeSpec,
    Assess(0),
    Assess(1),
    Assess(2),
    Revert,
    ForeignStatus,
    Delay,
    Compact,
    BreakConnections,
    Refuse(500),
    Refuse(409),
    LoseAnswers,
    Hang,
    Recover,
];

const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(350), Duration::from_secs(3), Duration::from_secs(90)];

type Schedule = [(Event, Duration)];

type Publish = watch::Sender<Option<Arc<Assessments>>>;

/// Replicas on an API server.
struct World {
    server: ApiServer,
    replicas: Vec<Publish>,
    generation: i64,
    /// The number of the newest state. Its assessment has a finding that names it.
    state: u32,
}

impl World {
    async fn start(replicas: usize) -> Self {
        let server = ApiServer::with_fault(Fault::None);
        let mut world = Self { server, replicas: Vec::new(), generation: 1, state: 0 };
        world.put_spec();
        for _ in 0..replicas {
            let (publish, assessments) = watch::channel(None);
            let absent = WebhookConfigurations {
                name: "lockstep".to_owned(),
                mutating: Observed::Absent,
                validating: Observed::Absent,
            };
            let inputs = StatusInputs {
                assessments,
                configurations: watch::channel(absent).1,
                trust_anchors: watch::channel(None).1,
                calls: watch::channel(Arc::default()).1,
            };
            let client = world.server.client();
            tokio::spawn(reconcile_status(client, inputs, WatchMetrics::default(), CancellationToken::new()));
            world.replicas.push(publish);
        }
        sleep(Duration::from_secs(1)).await;
        world
    }

    fn put_spec(&self) {
        let stored = self.server.get(TOPOLOGIES, ("", "one"));
        let status = stored.map_or(Value::Null, |mut stored| stored["status"].take());
        let object = json!({
            "apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology",
            "metadata": {"uid": "1", "generation": self.generation}, "spec": {}, "status": status,
        });
        self.server.put(TOPOLOGIES, ("", "one"), Some(object));
    }

    fn assess(&self, replica: usize) {
        let finding = Cause {
            code: CauseCode::PoolConflict,
            message: format!("state {}", self.state),
            mend: "none".to_owned(),
            commands: Vec::new(),
        };
        let assessment = TopologyAssessment {
            name: "one".into(),
            findings: vec![finding],
            ..TopologyAssessment::default()
        };
        let topologies = BTreeMap::from([("one".into(), (self.generation, Arc::new(assessment)))]);
        self.replicas[replica].send_replace(Some(Arc::new(Assessments { topologies })));
    }

    fn act(&mut self, event: Event) {
        match event {
            ChangeSpec => {
                self.generation += 1;
                self.put_spec();
            }
            Assess(replica) => {
                self.state += 1;
                self.assess(replica % self.replicas.len());
            }
            Revert => {
                self.state = self.state.saturating_sub(1);
                self.assess(0);
            }
            Delay => self.server.set_delay(DELAY),
            ForeignStatus => {
                let mut object = self.server.get(TOPOLOGIES, ("", "one")).unwrap();
                object["status"] = json!({"observedGeneration": 0});
                self.server.put(TOPOLOGIES, ("", "one"), Some(object));
            }
            Compact => self.server.compact(),
            BreakConnections => self.server.break_connections(),
            Refuse(status) => self.server.set_mode(Mode::Refuses(status)),
            LoseAnswers => self.server.set_mode(Mode::LosesAnswers),
            Hang => self.server.set_mode(Mode::Hangs),
            Recover => {
                self.server.set_mode(Mode::Answers);
                self.server.set_delay(Duration::ZERO);
            }
        }
    }

    /// The rule that the stored status breaks.
    fn check(&self) -> Result<(), String> {
        let status = self.server.get(TOPOLOGIES, ("", "one")).unwrap()["status"].take();
        let message = format!("state {}; none", self.state);
        let is_newest = status["findings"][0]["message"] == message.as_str();
        if is_newest && status["observedGeneration"] == self.generation {
            return Ok(());
        }
        Err(format!("generation {} and `{message}` are wanted, and stored is {status}", self.generation))
    }
}

fn run_schedule(schedule: &Schedule, replicas: usize) -> Result<(), String> {
    on_paused_clock(async {
        let start = Instant::now();
        let mut world = World::start(replicas).await;
        for (event, pause) in schedule {
            world.act(*event);
            sleep(*pause).await;
        }
        world.act(Recover);
        for replica in 0..replicas {
            world.assess(replica);
        }
        sleep(SETTLED).await;
        world.check()?;
        let writes = world.server.take_writes();
        let times: Vec<Duration> = writes.iter().map(|(at, ..)| at.duration_since(start)).collect();
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let refills = usize::try_from((*to - *from).as_secs() / REFILL.as_secs()).unwrap();
                let most = replicas * (BURST + 1 + refills);
                if last - first + 1 > most {
                    return Err(format!("{} writes within {:?}", last - first + 1, *to - *from));
                }
            }
        }
        sleep(SETTLED).await;
        world.check()?;
        match world.server.take_writes().as_slice() {
            [] => Ok(()),
            late => Err(format!("{} writes although nothing changes", late.len())),
        }
    })
}

fn shrunk(schedule: &Schedule, replicas: usize, problem: String) -> String {
    let (mut smallest, mut problem, mut index) = (schedule.to_vec(), problem, 0);
    while index < smallest.len() {
        let mut fewer = smallest.clone();
        fewer.remove(index);
        match run_schedule(&fewer, replicas) {
            Err(other) => (smallest, problem) = (fewer, other),
            Ok(()) => index += 1,
        }
    }
    format!("{problem}\nby {replicas} replicas and {smallest:?}")
}

fn holds(schedule: &Schedule, replicas: usize) {
    if let Err(problem) = run_schedule(schedule, replicas) {
        panic!("{}", shrunk(schedule, replicas, problem));
    }
}

fn steps() -> Vec<(Event, Duration)> {
    EVENTS.into_iter().flat_map(|event| PAUSES.map(|pause| (event, pause))).collect()
}

#[test]
fn the_newest_status_is_stored_and_stays_after_all_short_schedules() {
    let length = number("LOCKSTEP_SCHEDULE_LENGTH", 1);
    let (steps, start) = (steps(), std::time::Instant::now());
    let count = steps.len().pow(length);
    for number in 0..count {
        let of = |place| steps[number / steps.len().pow(place) % steps.len()];
        holds(&(0..length).map(of).collect::<Vec<_>>(), 2);
    }
    println!("evidence: statuses: {count} schedules of {length} steps in {:.0?}", start.elapsed());
}

/// A replica must not take its own write, which its watch has not received yet, for another client's.
#[test]
fn one_replica_stores_the_newest_status_soon_although_events_are_late() {
    let changes = [ChangeSpec, Assess(0), Revert].into_iter();
    let steps: Vec<_> = changes.flat_map(|event| PAUSES.map(|pause| (event, pause))).collect();
    for (first, second) in steps.iter().flat_map(|first| steps.iter().map(move |second| (first, second))) {
        on_paused_clock(async {
            let mut world = World::start(1).await;
            for event in [Assess(0), Delay] {
                world.act(event);
                sleep(SOON).await;
            }
            for (event, pause) in [first, second] {
                world.act(*event);
                sleep(*pause).await;
            }
            world.assess(0);
            sleep(SOON).await;
            world.check().unwrap_or_else(|problem| panic!("{problem}\nafter {first:?} and {second:?}"));
        });
    }
}

#[test]
fn the_newest_status_is_stored_and_stays_after_random_schedules() {
    let (seed, count) = (number("LOCKSTEP_SEED", 0_u64), number("LOCKSTEP_SCHEDULES", 30));
    let (steps, start) = (steps(), std::time::Instant::now());
    for number in 0..count {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(number));
        let replicas = random.usize(1..4);
        let schedule: Vec<_> = (0..random.usize(3..30)).map(|_| steps[random.usize(..steps.len())]).collect();
        holds(&schedule, replicas);
    }
    println!("evidence: statuses: {count} random schedules of seed {seed} in {:.0?}", start.elapsed());
}
