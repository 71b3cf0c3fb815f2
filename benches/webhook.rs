//! Compares the webhook over HTTPS with a no-op webhook on the same server stack.
//!
//! The no-op webhook reads the body, finds the uid and allows: no webhook on this stack can be faster. Both run as
//! separate processes, in turns, under the same load from wrk: 16 requests in flight over HTTP/1.1 keep-alive, as the
//! API server sends them, each with the recorded review of a gateway pod.
//!
//! The benchmark prints medians, medians of the ratios within a round (the speed of a machine varies from minute to
//! minute), the cost of the decision log, memory and start-up time. `--smoke` runs everything briefly, `--state` only the reviews during
//! changes of a large cluster, `--rungs` only what `rungs` lists, `--traces` only the cost of tracing.

#![allow(dead_code, unreachable_pub, reason = "every program uses its own part of what is shared")]

#[path = "state/cluster.rs"]
mod cluster;
#[path = "webhook/hosted.rs"]
mod hosted;
#[path = "webhook/load.rs"]
mod load;
#[path = "webhook/memory.rs"]
mod memory;
#[path = "webhook/process.rs"]
mod process;
#[path = "webhook/rungs.rs"]
mod rungs;
#[path = "webhook/traces.rs"]
mod traces;

use std::process::ExitCode;
use std::time::Duration;

use load::{Call, Load, Ratio};
use lockstep_test_support::https;
use process::Server;

/// The requests in flight, unless a measurement says otherwise.
const IN_FLIGHT: usize = 16;

/// The number and the length of the measurements.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    round: Duration,
    starts: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == hosted::BARE) {
        return hosted::serve_bare();
    }
    if let Some(handler) = hosted::asked_for(&arguments) {
        return hosted::serve(handler);
    }
    let effort = if arguments.iter().any(|argument| argument == "--smoke") {
        Effort { rounds: 1, round: Duration::from_secs(1), starts: 2 }
    } else {
        Effort { rounds: 8, round: Duration::from_secs(3), starts: 9 }
    };
    let only = |part: &str| arguments.iter().any(|argument| argument == part);
    let (only_state, only_rungs, only_traces) = (only("--state"), only("--rungs"), only("--traces"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        if only_state {
            return while_assessing(effort).await;
        }
        if only_rungs {
            return rungs::print(effort).await;
        }
        if only_traces {
            return traces::print(effort).await;
        }
        throughput(effort).await;
        while_assessing(effort).await;
        starts(effort).await;
        memory::print(effort.round).await;
        rungs::print(effort).await;
        traces::print(effort).await;
    });
    ExitCode::SUCCESS
}

/// A webhook and the call that is measured.
struct Contestant {
    name: &'static str,
    start: fn() -> Server,
    call: Call,
}

const POD: &[u8] = include_bytes!("reviews/pod.json");

fn pod() -> Vec<u8> {
    POD.to_vec()
}

/// Returns the review of the same pod with its node selector, as the validating webhook receives it. The order of
/// fields stays as the API server wrote it: an object that comes before its kind costs a second pass.
fn placed_pod() -> Vec<u8> {
    let recorded = String::from_utf8(POD.to_vec()).expect("the recorded review is text");
    let placed = recorded.replacen(
        "\"spec\":{\"volumes\":",
        "\"spec\":{\"nodeSelector\":{\"loadbalancerIPs.metallb.io\":\"arp\"},\"volumes\":",
        1,
    );
    assert_ne!(placed, recorded, "the recorded pod's spec begins with its volumes");
    placed.into_bytes()
}

/// The names of one program without the decision log and metrics, and with them; their difference is the cost.
const NEITHER: &str = "no log, no metrics";
const ON_STDOUT: &str = "metrics, log on stdout";
const IN_FILE: &str = "metrics, log in a file";

/// A review that is patched. Each one is recorded, which is the highest load on a decision log.
const PATCHED: Call = Call { path: "/mutate", body: pod, marker: "\"patch\":", traceparent: None };
const ALLOWED: Call =
    Call { path: "/validate", body: placed_pod, marker: "\"allowed\":true", traceparent: None };

const CONTESTANTS: [Contestant; 7] = [
    Contestant::new("no-op", Server::noop, Call { marker: "\"allowed\":true", ..PATCHED }),
    // This one writes the operators' log, which has a line for each edit if there is no decision log.
    Contestant::new("lockstep /mutate, patched", Server::lockstep, PATCHED),
    Contestant::new("the same, decision log", Server::recording, PATCHED),
    Contestant::new("lockstep /validate, allowed", Server::lockstep, ALLOWED),
    Contestant::new(NEITHER, Server::engine, PATCHED),
    Contestant::new(ON_STDOUT, Server::engine_recording, PATCHED),
    Contestant::new(IN_FILE, Server::engine_recording_to_file, PATCHED),
];

impl Contestant {
    const fn new(name: &'static str, start: fn() -> Server, call: Call) -> Self {
        Self { name, start, call }
    }
}

async fn throughput(effort: Effort) {
    let loads = compare("17 KB review, 16 in flight", &CONTESTANTS, IN_FLIGHT, false, effort).await;
    print_cost_of_decision_log(&loads);
}

/// Loads the contestants in turns, and prints the figures of each and its ratios to the first one's. If the load `closes`, each call has a
/// connection of its own.
async fn compare(
    title: &str,
    contestants: &[Contestant],
    in_flight: usize,
    closes: bool,
    effort: Effort,
) -> Vec<Vec<Load>> {
    let mut loads: Vec<Vec<Load>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.rounds {
        for (contestant, loads) in contestants.iter().zip(&mut loads) {
            let mut server = (contestant.start)();
            let address = server.ready().await;
            loads.push(
                load::run_with(&server, &address, contestant.call, in_flight, closes, effort.round).await,
            );
        }
    }
    println!(
        "{title:<32} {:>10} {:>9} {:>9} {:>16} {:>9} {:>9}",
        "reviews/s", "p50 ms", "p99 ms", "CPU s per 10,000", "rate", "CPU"
    );
    for (contestant, loads_of) in contestants.iter().zip(&loads) {
        let (load, ratio) = (Load::median(loads_of), Ratio::median(loads_of, &loads[0]));
        println!(
            "{:<32} {:>10.0} {:>9.2} {:>9.2} {:>16.3} {:>8.3}x {:>8.3}x",
            contestant.name,
            load.rate,
            load.p50 * 1e3,
            load.p99 * 1e3,
            load.cpu,
            ratio.rate,
            ratio.cpu
        );
    }
    loads
}

/// Prints the cost of the decision log and the metrics if every review is recorded.
fn print_cost_of_decision_log(loads: &[Vec<Load>]) {
    let of = |name: &str| CONTESTANTS.iter().zip(loads).find(|(contestant, _)| contestant.name == name);
    let Some((_, neither)) = of(NEITHER) else { return };
    for name in [ON_STDOUT, IN_FILE] {
        if let Some((_, recorded)) = of(name) {
            let Ratio { rate, cpu, .. } = Ratio::median(recorded, neither);
            println!("{name}, against neither in the same program: rate {rate:.3}x, CPU {cpu:.3}x");
        }
    }
}

/// Prints what reviews cost while the state of a large cluster changes, and while it is assessed, too, against the same state at
/// rest: with one request in flight, which leaves the machine time for both, and with many, which do not.
async fn while_assessing(effort: Effort) {
    const NAMES: [&str; 3] = ["at rest", "10 new snapshots a second", "the same, assessed"];
    const STARTS: [fn() -> Server; 3] = [Server::still, Server::changing, Server::assessing];
    for in_flight in [1, IN_FLIGHT] {
        let mut loads = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..effort.rounds {
            for (start, loads) in STARTS.into_iter().zip(&mut loads) {
                let mut server = start();
                let address = server.ready().await;
                loads.push(load::run(&server, &address, PATCHED, in_flight, effort.round).await);
            }
        }
        println!("10,000 nodes, 500 topologies, {in_flight} in flight, against the state at rest:");
        for (name, loads_of) in NAMES.into_iter().zip(&loads) {
            let (load, ratio) = (Load::median(loads_of), Ratio::median(loads_of, &loads[0]));
            println!(
                "{name:<28} p50 {:.2} ms {:.2}x, p99 {:.2} ms {:.2}x, rate {:.2}x",
                load.p50 * 1e3,
                ratio.p50,
                load.p99 * 1e3,
                ratio.p99,
                ratio.rate
            );
        }
    }
}

/// Prints the time from the start of a process to its first correct response.
async fn starts(effort: Effort) {
    for contestant in &CONTESTANTS[..2] {
        let mut times = Vec::new();
        for _ in 0..effort.starts {
            let start = std::time::Instant::now();
            let mut server = (contestant.start)();
            let address = server.ready().await;
            load::once(&address, contestant.call).await;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        println!(
            "{:<28} first correct response after {:.0} ms (median of {})",
            contestant.name,
            times[times.len() / 2].as_secs_f64() * 1e3,
            times.len()
        );
    }
}
