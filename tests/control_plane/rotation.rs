//! CA rotations under load: a real API server calls three replicas through a load balancer. Lifetimes are seconds, and each
//! rotation takes 20 s. `LOCKSTEP_ROTATIONS` is the number of rotations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use lockstep_test_support::api::create;
use lockstep_test_support::balancer::Balancer;
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::https::get;
use lockstep_test_support::load::Load;
use lockstep_test_support::serve::Serve;
use lockstep_test_support::{number, replica, wait};

const REPLICAS: usize = 3;
/// The number of rotations unless `LOCKSTEP_ROTATIONS` says otherwise.
const ROTATIONS: u64 = 5;

/// A little over 200 admissions a second. The API server keeps 25 connections open, so with more calls at once most calls
/// need a TLS handshake, which verifies the certificate.
const AT_ONCE: &[usize] = &[60];
const EVERY: Duration = Duration::from_millis(280);
const DELAY: Duration = Duration::from_millis(60);

/// The time limit of each rotation, a little more than the lifetime of a CA.
const PATIENCE: Duration = Duration::from_secs(36);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_under_load_lose_no_admission() {
    let rotations = number("LOCKSTEP_ROTATIONS", ROTATIONS);
    let balancer = Balancer::start_with_delay([], DELAY).await;
    let (control_plane, client) = replica::start_furnished(&balancer.address).await;
    let replicas = join_all((0..REPLICAS).map(|_| start(&control_plane))).await;
    for replica in &replicas {
        wait::until_ready(&replica.admin).await;
    }
    balancer.set(replicas.iter().map(|replica| replica.webhook.clone()));
    create(&client, &replica::topology("arp")).await;
    for replica in &replicas {
        wait::until_enforced(&replica.admin, 1).await;
    }

    let load = Load::start(client.clone(), AT_ONCE, EVERY);
    let issuers = until_rotated(&replicas, rotations).await;
    let record = load.end().await;
    let (admitted, seconds) = (u64::try_from(record.placed()).unwrap(), record.took.as_secs_f64());

    let connections = total(&replicas, "lockstep_connections_total").await;
    // Not `disconnect`: the API server closes connections that it no longer needs, also during the handshake.
    let mut refusals = Vec::new();
    for reason in ["alert", "protocol", "timeout", "caller"] {
        let series = format!("lockstep_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        refusals.push((reason, total(&replicas, &series).await));
    }
    let ended = total(&replicas, "lockstep_tls_handshakes_failed_total{reason=\"disconnect\"}").await;
    println!(
        "evidence: {rotations} rotations: {admitted} admissions in {seconds:.0} s, {} issuers, {connections} handshakes, {} failed; handshakes refused: {refusals:?}, given up: {ended}",
        issuers.len(),
        record.failed().count()
    );
    let said = said(replicas).await.join("\n");
    assert_eq!((record.reasons(), record.unchecked()), (BTreeSet::new(), 0), "{said}");
    // The rate depends on the machine, so it is printed. The test asserts that there was load.
    assert!(record.rate() > 50.0, "{admitted} in {seconds} s");
    assert!(connections > 100 * rotations, "{connections} connections prove too little about handshakes");
    assert!(u64::try_from(issuers.len()).unwrap() > rotations, "{issuers:?}");
    for (reason, count) in refusals {
        assert_eq!(count, 0, "handshakes failed for the reason `{reason}`:\n{said}");
    }
}

async fn start(control_plane: &ControlPlane) -> Serve {
    // A rotation must finish within a third of the CA's lifetime. It takes 2 s, and up to 7 s on a machine that other
    // programs keep busy.
    let arguments = [
        "--ca-lifetime",
        "30",
        "--leaf-lifetime",
        "12",
        "--ca-propagation",
        "1",
        "--drain",
        "0",
        "--log-level",
        "info,lockstep::server=debug",
    ];
    replica::start(control_plane, &arguments).await
}

/// Waits for the rotations. Returns the CAs whose certificates were served.
async fn until_rotated(replicas: &[Serve], rotations: u64) -> BTreeSet<String> {
    let (started, patience) = (Instant::now(), PATIENCE * u32::try_from(rotations).unwrap());
    let mut issuers = BTreeSet::new();
    while total(replicas, "lockstep_ca_rotations_total").await < rotations {
        assert!(started.elapsed() < patience, "rotations took too long: {issuers:?}");
        issuers.extend(issuers_of(replicas).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The last rotation is complete when every replica serves a certificate of its CA.
    loop {
        let now: BTreeSet<String> = issuers_of(replicas).await.into_iter().collect();
        issuers.extend(now.iter().cloned());
        if now.len() == 1 && issuers.len() > usize::try_from(rotations).unwrap() {
            return issuers;
        }
        assert!(started.elapsed() < patience, "the last rotation did not complete: {issuers:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the log lines of the replicas about certificates and handshakes, by time.
async fn said(replicas: Vec<Serve>) -> Vec<String> {
    let mut said = Vec::new();
    for mut replica in replicas {
        replica.signal("TERM");
        said.extend(replica.ended().await.1);
    }
    said.retain(|line| ["CA", "certificate", "handshake"].iter().any(|word| line.contains(word)));
    said.sort_unstable();
    said
}

async fn issuers_of(replicas: &[Serve]) -> Vec<String> {
    let mut issuers = Vec::new();
    for replica in replicas {
        let (_, metrics) = get(&replica.admin, "/metrics").await;
        let series = metrics.lines().find(|line| line.starts_with("lockstep_tls_issuer_info{"));
        issuers.extend(series.map(str::to_owned));
    }
    issuers
}

async fn total(replicas: &[Serve], series: &str) -> u64 {
    let mut total = 0;
    for replica in replicas {
        let (_, metrics) = get(&replica.admin, "/metrics").await;
        let lines = metrics.lines().filter(|line| line.starts_with(series));
        total += lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>();
    }
    total
}
