//! Tests of the chart with real Helm and a real API server. The first run builds both, which requires Go.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod acts;
mod alerts;
mod definition;
mod doors;
mod hatches;
mod life;
mod match_conditions;
mod node_guard;
mod nodes;
mod process;
mod refusals;
mod replica;
mod reports;
mod roles;
mod rollout;
mod search;
mod snapshots;
mod strict;
mod subresources;
mod tutorial;
mod workloads;

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("chart");
}
