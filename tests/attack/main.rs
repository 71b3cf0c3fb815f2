//! All attacks on the program at once, from other addresses than those of the API server and the kubelet, in a control
//! group of 256 MiB, as behind the chart's limits. It fails if a review of the API server takes more than 1s, if a probe
//! fails or takes more than 1s, or if the program ends.
//!
//! `just attack SECONDS` runs it against the release build. It needs root, for the control group, and descriptors: 4096 of
//! them.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod clients;
mod group;
mod strangers;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lockstep_test_support::serve::Serve;

use clients::{api_server, kubelet};
use group::MemoryGroup;
use lockstep_test_support::usage::Usage;

/// The memory limit of the chart, in bytes.
const MEMORY: u64 = 256 << 20;
/// The limit of each review and each probe.
const LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place.checked_add(1)?).cloned()
    };
    let seconds = after("--seconds").map_or(20, |seconds| seconds.parse().expect("a number of seconds"));
    let only = after("--only");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(Duration::from_secs(seconds), only.as_deref()))
}

async fn run(duration: Duration, only: Option<&str>) -> ExitCode {
    let group = MemoryGroup::create(MEMORY);
    let seed = lockstep_test_support::root().join("examples/seed");
    let log = tempfile::tempdir().expect("a folder");
    let log = log.path().join("audit.log");
    let mut arguments = vec!["--facts", seed.to_str().expect("a path")];
    arguments.extend(["--audit-log", log.to_str().expect("a path"), "--log-level", "error,lockstep=info"]);
    let mut serve = Serve::start(&arguments, None).await;
    let pid = serve.child.id().expect("a running program");
    group.add(pid);

    // The strangers have threads of their own, as they have machines of their own: what is measured is the program, not
    // the queue of this one's runtime.
    let theirs = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let strangers = {
        let _entered = theirs.enter();
        strangers::start(&serve, only)
    };
    let review = tokio::spawn(api_server(serve.webhook.clone(), serve.ca_pem.clone(), duration));
    let probes = tokio::spawn(kubelet(serve.admin.clone(), duration));
    let start = Instant::now();
    let mut usages = Vec::new();
    while start.elapsed() < duration && serve.child.try_wait().expect("a status").is_none() {
        tokio::time::sleep(Duration::from_millis(200)).await;
        usages.push(Usage::of(pid));
    }
    let ended = serve.child.try_wait().expect("a status");
    let (reviews, probes) = (review.await.expect("no panic"), probes.await.expect("no panic"));
    println!("evidence: {}", strangers.stop());
    let records = std::fs::metadata(&log).map_or(0, |file| file.len());
    println!("evidence: reviews of the API server: {reviews}");
    println!("evidence: probes: {probes}");
    let most = usages.iter().map(Usage::mebibytes).fold(0.0, f64::max);
    println!(
        "evidence: resident set: at most {most:.0} MiB, in the median {:.0}",
        Usage::median(&usages).mebibytes()
    );
    println!("decision log: {} KiB in {:.0}s", records >> 10, start.elapsed().as_secs_f64());
    println!(
        "evidence: out of memory: {}; the program {}",
        group.kills(),
        ended.map_or("still runs".into(), |end| format!("ended: {end}"))
    );
    let is_held = ended.is_none() && reviews.within(LIMIT) && probes.within(LIMIT) && group.kills() == 0;
    println!("{}", if is_held { "held" } else { "NOT HELD" });
    theirs.shutdown_background();
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
