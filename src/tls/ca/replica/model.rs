//! A model of a rotation, searched exhaustively: replicas that crash, requests that fail, are late or conflict, clocks that differ and
//! are set, users who ask for a rotation, and other clients that change the Secret and `caBundle`.
//!
//! The code of the replicas is the product's: [`Replica`], `rotation`, `ca_set`, `ca_bundle::patch` and `leaf`. Two things must hold in
//! every reachable state. A replica that is ready serves a leaf that is not expired, and every API server trusts its CA, also one that
//! still uses a configuration from a moment ago. And an end can be reached in which the Secret has one CA, which all trust and all use.
//!
//! While another client has removed a CA, certificates may be untrusted. This must be repaired, and then the first rule holds again.
//!
//! Each assumption is a field of [`Scenario`]: each test of an assumption shows that without it the rule is broken.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod abstraction;
mod search;
mod world;

use super::*;
use abstraction::Product;
use search::{Explored, explore};
use world::{Budget, Rotation, Scenario};

/// A replica's code. The methods are the product's, and a fault replaces one of them.
trait Protocol {
    fn read(&self, replica: &mut Replica, stored: Option<&CaSet>, now: Timestamp) -> Next {
        replica.read(stored, now).unwrap()
    }

    fn read_failed(&self, _: &mut Replica, _: Timestamp) -> Next {
        Next::Again
    }

    fn compared(
        &self,
        replica: &mut Replica,
        found: Option<Found>,
        now: Timestamp,
        instant: Instant,
    ) -> Next {
        replica.compared(found, now, instant).unwrap()
    }

    fn sign(&self, replica: &mut Replica, now: Timestamp) {
        // A CA that is not valid signs nothing, and the replica retries.
        let _ = replica.sign(now);
    }

    /// Whether a write names the version that was read.
    fn is_conditional(&self) -> bool {
        true
    }

    /// The lifetimes of a scenario that the replica uses.
    fn lifetimes(&self, lifetimes: Lifetimes) -> Lifetimes {
        lifetimes
    }
}

/// The product.
struct Faultless;

impl Protocol for Faultless {}

const LIFETIMES: Lifetimes = Lifetimes {
    // No CA expires: users ask for rotations.
    ca: Duration::from_secs(60 * 60 * 24 * 365),
    leaf: Duration::from_secs(60 * 60),
    propagation: Duration::from_secs(60 * 60 * 2),
};

const CALM: Scenario = Scenario {
    replicas: 2,
    configurations: 1,
    starts_empty: false,
    budget: Budget {
        crashes: 0,
        failures: 0,
        foreign_bundles: 0,
        foreign_secrets: 0,
        rotations: 1,
        clock_steps: 0,
    },
    skews: [0, 1],
    has_partitions: false,
    has_endless_passes: false,
    // Just less than the propagation.
    lag: 2,
    oldest_ca: 1,
    retirement: 3,
};

fn explored(protocol: &dyn Protocol, lifetimes: Lifetimes, scenario: Scenario) -> Explored {
    let start = Instant::now();
    let lifetimes = protocol.lifetimes(lifetimes);
    let mut rotation = Rotation {
        scenario,
        product: Product::new(protocol, lifetimes),
        is_conditional: protocol.is_conditional(),
    };
    let explored = explore(&mut rotation, 30_000_000);
    let Explored { states, steps, ends, depth, violation } = &explored;
    println!(
        "{states} states, {steps} steps, {ends} ends, depth {depth}, {} calls of the product, {:.0?}: {:?}",
        rotation.product.calls(),
        start.elapsed(),
        scenario,
    );
    if violation.is_none() {
        println!("evidence: {scenario}: {states} states");
    }
    if let Some((violation, trace)) = violation {
        println!("{violation}\n  {}", trace.join("\n  "));
    }
    explored
}

/// Asserts that the product keeps both rules.
fn holds(lifetimes: Lifetimes, scenario: Scenario) {
    let explored = explored(&Faultless, lifetimes, scenario);
    assert!(explored.ends > 0);
    assert_eq!(explored.violation, None);
}

/// Asserts that the search finds what is wrong, and returns the trace.
fn breaks(protocol: &dyn Protocol, scenario: Scenario) -> (String, Vec<String>) {
    explored(protocol, LIFETIMES, scenario).violation.expect("the fault is found")
}

/// Asserts that a fault is found, and returns the acts of its trace.
fn finds(fault: &dyn Protocol, scenario: Scenario) -> String {
    let (violation, trace) = breaks(fault, scenario);
    format!("{violation}: {}", trace.join("; "))
}

/// A year of tests would not show what the smallest model shows; the larger ones are for `just model`.
fn is_full() -> bool {
    std::env::var_os("LOCKSTEP_MODEL").is_some()
}

const CRASHES: Budget = Budget { crashes: 1, ..CALM.budget };
const FAILURES: Budget = Budget { failures: 1, ..CALM.budget };
const CLOCKS: Budget = Budget { clock_steps: 1, ..CALM.budget };
const FOREIGN_BUNDLES: Budget = Budget { foreign_bundles: 1, ..CALM.budget };
const FOREIGN_SECRETS: Budget = Budget { foreign_secrets: 1, ..CALM.budget };

#[test]
fn a_rotation_keeps_every_leaf_trusted_and_ends_with_one_ca() {
    holds(LIFETIMES, Scenario { replicas: 1, ..CALM });
    holds(LIFETIMES, CALM);
}

#[test]
fn a_crash_a_lost_or_late_request_and_a_clock_that_is_set_break_nothing() {
    for budget in [CRASHES, FAILURES, CLOCKS] {
        holds(LIFETIMES, Scenario { budget, replicas: 1, ..CALM });
        if is_full() {
            holds(LIFETIMES, Scenario { budget, ..CALM });
            // A leaf must be valid for longer than a clock may be behind.
            let lifetimes = Lifetimes { leaf: Duration::from_secs(60 * 60 * 3), ..LIFETIMES };
            holds(lifetimes, Scenario { budget, skews: [-1, 0], retirement: 5, ..CALM });
        }
    }
}

#[test]
fn what_another_client_removes_is_repaired() {
    for budget in [FOREIGN_BUNDLES, FOREIGN_SECRETS] {
        holds(LIFETIMES, Scenario { budget, replicas: 1, ..CALM });
        if is_full() {
            // A replica that reads an emptied Secret learns of a promotion a tick later: its leaf must be valid for so long.
            let lifetimes = Lifetimes { leaf: Duration::from_secs(60 * 60 * 2), ..LIFETIMES };
            holds(lifetimes, Scenario { budget, retirement: 4, ..CALM });
        }
    }
}

#[test]
fn replicas_that_start_with_an_empty_secret_agree_on_one_ca() {
    let budget = Budget { rotations: 0, crashes: 1, ..CALM.budget };
    holds(LIFETIMES, Scenario { starts_empty: true, budget, ..CALM });
    if is_full() {
        holds(LIFETIMES, Scenario { starts_empty: true, budget, replicas: 3, ..CALM });
    }
}

/// A CA that signs before it is published.
struct SignsWithTheNextCa;

impl Protocol for SignsWithTheNextCa {
    fn sign(&self, replica: &mut Replica, now: Timestamp) {
        let remembered = replica.remembered.clone();
        if let Some(cas) = &mut replica.remembered
            && let Some(next) = &cas.next
        {
            cas.current = std::sync::Arc::clone(&next.ca);
        }
        let _ = replica.sign(now);
        replica.remembered = remembered;
    }
}

#[test]
fn a_replica_that_signs_with_a_ca_before_it_is_published_is_found() {
    let trace = finds(&SignsWithTheNextCa, CALM);
    assert!(trace.starts_with("a leaf of CA2 is served, and an API server trusts [1, 0, 0]"), "{trace}");
}

/// A promotion that does not wait until every API server has seen the next CA.
struct DoesNotWait;

impl Protocol for DoesNotWait {
    fn lifetimes(&self, lifetimes: Lifetimes) -> Lifetimes {
        Lifetimes { propagation: Duration::ZERO, ..lifetimes }
    }
}

#[test]
fn a_replica_that_does_not_wait_for_api_servers_is_found() {
    let trace = finds(&DoesNotWait, CALM);
    assert!(trace.starts_with("a leaf of CA2 is served, and an API server trusts [1, 0, 0]"), "{trace}");
}

/// A promotion after which the old CA is trusted no longer.
struct DropsTheOldCaAtOnce;

impl DropsTheOldCaAtOnce {
    fn without_old(next: Next) -> Next {
        match next {
            Next::Write(Step::Promote, cas) => Next::Write(Step::Promote, cas.without_old()),
            other => other,
        }
    }
}

impl Protocol for DropsTheOldCaAtOnce {
    fn compared(
        &self,
        replica: &mut Replica,
        found: Option<Found>,
        now: Timestamp,
        instant: Instant,
    ) -> Next {
        Self::without_old(replica.compared(found, now, instant).unwrap())
    }
}

#[test]
fn a_replica_that_drops_the_old_ca_at_once_is_found() {
    let trace = finds(&DropsTheOldCaAtOnce, CALM);
    assert!(trace.starts_with("a leaf of CA1 is served, and an API server trusts [2, 0, 0]"), "{trace}");
}

/// A write onto whatever the Secret holds.
struct IgnoresConflicts;

impl Protocol for IgnoresConflicts {
    fn is_conditional(&self) -> bool {
        false
    }
}

#[test]
fn a_replica_that_overwrites_what_it_has_not_read_is_found() {
    let budget = Budget { rotations: 0, ..CALM.budget };
    let trace = finds(&IgnoresConflicts, Scenario { starts_empty: true, budget, lag: 1, ..CALM });
    assert!(trace.contains("is served, and an API server trusts"), "{trace}");
}

/// A promotion that never comes.
struct NeverPromotes;

impl Protocol for NeverPromotes {
    fn compared(
        &self,
        replica: &mut Replica,
        found: Option<Found>,
        now: Timestamp,
        instant: Instant,
    ) -> Next {
        match replica.compared(found, now, instant).unwrap() {
            Next::Write(Step::Promote, _) => Next::Again,
            other => other,
        }
    }
}

#[test]
fn a_rotation_that_does_not_end_is_found() {
    let trace = finds(&NeverPromotes, Scenario { replicas: 1, ..CALM });
    assert!(trace.starts_with("no end can be reached"), "{trace}");
}

/// A Secret that cannot be read counts as an empty one.
struct RegeneratesOnErrors;

impl Protocol for RegeneratesOnErrors {
    fn read_failed(&self, replica: &mut Replica, now: Timestamp) -> Next {
        replica.remembered = None;
        replica.read(None, now).unwrap()
    }

    // What was not read has no version.
    fn is_conditional(&self) -> bool {
        false
    }
}

#[test]
fn a_replica_that_generates_a_ca_when_the_secret_cannot_be_read_is_found() {
    let scenario = Scenario { replicas: 1, budget: Budget { rotations: 0, ..FAILURES }, ..CALM };
    let trace = finds(&RegeneratesOnErrors, scenario);
    assert!(trace.contains("ReadFails"), "{trace}");
}

/// A wait that the wall clock measures.
struct TrustsItsClock;

impl Protocol for TrustsItsClock {
    fn compared(
        &self,
        replica: &mut Replica,
        found: Option<Found>,
        now: Timestamp,
        instant: Instant,
    ) -> Next {
        let epoch = "2026-11-22T18:00:00Z".parse::<Timestamp>().unwrap();
        replica.compared(found, now, instant + between(epoch, now)).unwrap()
    }
}

#[test]
fn a_replica_that_measures_the_wait_by_its_clock_is_found() {
    let trace = finds(&TrustsItsClock, Scenario { replicas: 1, budget: CLOCKS, ..CALM });
    assert!(trace.contains("SetClock"), "{trace}");
}

/// The assumptions of the rule.
mod assumptions {
    use super::*;

    /// It signs with the CA that it remembers, because an expired leaf is certainly rejected.
    #[test]
    fn a_replica_that_cannot_read_the_secret_for_too_long_serves_a_leaf_of_a_ca_that_is_no_longer_trusted() {
        let trace = finds(&Faultless, Scenario { has_partitions: true, ..CALM });
        assert!(trace.starts_with("a leaf of CA1 is served, and an API server trusts [2, 0, 0]"), "{trace}");
    }

    /// `--ca-propagation` must exceed the time limit of a pass.
    #[test]
    fn a_pass_that_lasts_longer_than_the_propagation_overwrites_the_bundle_of_a_later_one() {
        let trace = finds(&Faultless, Scenario { has_endless_passes: true, has_partitions: true, ..CALM });
        assert!(trace.starts_with("a leaf of CA2 is served, and an API server trusts [1, 0, 0]"), "{trace}");
    }

    /// `--ca-propagation` must exceed the delay of the slowest API server.
    #[test]
    fn an_api_server_that_lags_for_longer_than_the_propagation_misses_the_next_ca() {
        let trace = finds(&Faultless, Scenario { lag: 3, ..CALM });
        assert!(trace.starts_with("a leaf of CA2 is served"), "{trace}");
    }
}
