//! MetalLB and Kubernetes as oracles: random worlds are decided by their own code and by the product, and every decision
//! must be the same. It takes Go, for the first run.
//!
//! `LOCKSTEP_WORLDS` is the number of worlds of each release, `LOCKSTEP_SEED` the first of their seeds, and `LOCKSTEP_THREADS` the number
//! of threads for each release.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod comparison;
mod decisions;
mod faults;
mod kubernetes;
mod metallb;
mod process;
mod random;
mod tally;
mod world;

use std::ops::Range;

use lockstep_test_support::number;

/// The number of worlds or questions of each test unless `LOCKSTEP_WORLDS` says otherwise: some seconds.
const WORLDS: u64 = 3_000;

/// The seeds of a run.
fn seeds() -> Range<u64> {
    let first = number("LOCKSTEP_SEED", 0);
    first..first + number("LOCKSTEP_WORLDS", WORLDS)
}

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("oracle");
}
