//! The cost of a review without sockets: the rules and the codec.
//!
//! Each subject gets two figures: the median time per review on one core, and the instructions per review, counted by
//! valgrind's cachegrind. Instruction counts do not depend on the load of the machine. `--smoke` runs everything once,
//! briefly.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep::admission::{Body, Decision, review};
use lockstep::change::Phase;
use lockstep::labels::Labels;
use lockstep::objects::Service;
use lockstep::snapshot::{Inventory, KnownState, ObjectKey, Snapshot};
use serde_json::json;

/// A review in one of the two worlds.
struct Subject {
    name: &'static str,
    phase: Phase,
    body: Vec<u8>,
    world: World,
    verdict: &'static str,
}

#[derive(Clone, Copy)]
enum World {
    /// 10 nodes, 1 advertisement.
    Small,
    /// 10,000 nodes, 1,000 Services, 1,000 advertisements.
    Large,
}

fn subjects() -> Vec<Subject> {
    let pod = include_bytes!("reviews/pod.json");
    let placed = String::from_utf8(pod.to_vec()).expect("the recorded review is text").replacen(
        "\"spec\":{\"volumes\":",
        "\"spec\":{\"nodeSelector\":{\"loadbalancerIPs.metallb.io\":\"arp\"},\"volumes\":",
        1,
    );
    let service = include_bytes!("reviews/service.json");
    let wide = advertisement(&json!({"ipAddressPools": ["default-pool"]}));
    let right = advertisement(&json!({
        "ipAddressPools": ["default-pool"],
        "nodeSelectors": [{"matchLabels": {"loadbalancerIPs.metallb.io": "arp"}}],
    }));
    let subject = |name, phase, body: &[u8], world, verdict| Subject {
        name,
        phase,
        body: body.to_vec(),
        world,
        verdict,
    };
    vec![
        subject("pod, 17 KB, placed", Phase::Mutate, pod, World::Small, "edit"),
        subject("pod, 17 KB, already placed", Phase::Validate, placed.as_bytes(), World::Small, "allow"),
        subject("pod, 17 KB, refused", Phase::Validate, pod, World::Small, "deny"),
        subject("service, made Local", Phase::Mutate, service, World::Small, "edit"),
        subject("advertisement, right, small world", Phase::Validate, &right, World::Small, "allow"),
        subject("advertisement, right, large world", Phase::Validate, &right, World::Large, "allow"),
        subject("advertisement, wide, small world", Phase::Validate, &wide, World::Small, "deny"),
        subject("advertisement, wide, large world", Phase::Validate, &wide, World::Large, "deny"),
    ]
}

/// Returns the recorded review of an advertisement with another spec.
fn advertisement(spec: &serde_json::Value) -> Vec<u8> {
    let recorded = include_bytes!("reviews/l2advertisement.json");
    let mut review: serde_json::Value =
        serde_json::from_slice(recorded).expect("the recorded review is JSON");
    review["request"]["object"]["spec"] = spec.clone();
    serde_json::to_vec(&review).expect("JSON can be written")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Builds the snapshot of the world: one node in ten is a gateway node.
fn facts(world: World) -> Snapshot {
    let (nodes, services, advertisements) = match world {
        World::Small => (10, 1, 1),
        World::Large => (10_000, 1_000, 1_000),
    };
    let node = |n: usize| {
        let name = format!("node-{n}");
        let placement = if n.is_multiple_of(10) { "arp" } else { "none" };
        let carried = [
            ("kubernetes.io/hostname", name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("topology.kubernetes.io/zone", "a"),
            ("loadbalancerIPs.metallb.io", placement),
        ];
        (name.clone(), Arc::new(labels(&carried)))
    };
    let key = |namespace: &str, name: String| ObjectKey { namespace: namespace.to_owned(), name };
    let right = json!({
        "ipAddressPools": ["default-pool"],
        "nodeSelectors": [{"matchLabels": {"loadbalancerIPs.metallb.io": "arp"}}],
    });
    let right: lockstep::objects::AdvertisementSpec = serde_json::from_value(right).expect("a valid spec");
    let inventory = Inventory {
        nodes: (0..nodes).map(node).collect(),
        pools: BTreeMap::from([(key("metallb-system", "default-pool".to_owned()), Labels::new())]),
        services: (0..services)
            .map(|n| (key("istio-system", format!("service-{n}")), Service::default()))
            .collect(),
        advertisements: (0..advertisements)
            .map(|n| (key("metallb-system", format!("advertisement-{n}")), right.clone()))
            .collect(),
        ..Inventory::default()
    };
    // The recorded review is in the namespaces of the built-in topology.
    let inventory = inventory.or_built_in();
    let snapshot = Snapshot::new(&inventory);
    snapshot.with_state(Some(KnownState { inventory: Arc::new(inventory), ..KnownState::default() }))
}

impl Subject {
    fn run(&self, facts: &Snapshot) {
        match review(&Body::new(black_box(&self.body)), self.phase, facts).map(|review| review.decision) {
            Ok(Decision::Judged { verdict, .. }) => assert_eq!(verdict.word(), self.verdict, "{}", self.name),
            other => panic!("{}: {other:?}", self.name),
        }
    }

    fn median(&self, rounds: usize) -> Duration {
        let facts = facts(self.world);
        let mut times: Vec<Duration> = (0..rounds)
            .map(|_| {
                let start = Instant::now();
                self.run(&facts);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[rounds / 2]
    }
}

/// Returns the median time of one review in nanoseconds. It is measured in a process of its own, because the heap that
/// other subjects leave behind would affect the time.
fn nanoseconds(index: usize, rounds: usize) -> u64 {
    let program = std::env::current_exe().expect("a path");
    let output = Command::new(program).args(["--time", &index.to_string(), &rounds.to_string()]).output();
    let output = output.expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Returns the instructions per review: the difference between many reviews and few, so that start-up cancels out.
fn instructions(index: usize, reviews: usize) -> Option<u64> {
    let few = count(index, 0)?;
    Some(count(index, reviews)?.saturating_sub(few) / reviews as u64)
}

fn count(index: usize, reviews: usize) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["--only", &index.to_string(), &reviews.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = report.lines().find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    line.split(':').nth(1)?.trim().replace(',', "").parse().ok()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        let number = |offset: usize| arguments[at + offset].parse::<usize>().expect("a number");
        Some((number(1), number(2)))
    };
    if let Some((index, rounds)) = after("--time") {
        println!("{}", subjects()[index].median(rounds).as_nanos());
    } else if let Some((index, reviews)) = after("--only") {
        let subject = &subjects()[index];
        let facts = facts(subject.world);
        // One review before counting starts, so that lazy initialization is not counted.
        (0..=reviews).for_each(|_| subject.run(&facts));
    } else {
        print_table(arguments.iter().any(|argument| argument == "--smoke"));
    }
    ExitCode::SUCCESS
}

fn print_table(is_smoke: bool) {
    let (rounds, reviews) = if is_smoke { (100, 10) } else { (20_000, 200) };
    println!("{:<36} {:>12} {:>14}", "one review", "median", "instructions");
    for (index, subject) in subjects().iter().enumerate() {
        let median = nanoseconds(index, rounds) as f64 / 1e3;
        let counted =
            instructions(index, reviews).map_or("no valgrind".to_owned(), |count| count.to_string());
        println!("{:<36} {median:>9.1} us {counted:>14}", subject.name);
    }
}
