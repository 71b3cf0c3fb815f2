//! Tests that need only the built program: no socket, no cluster.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod admission;
mod cases;
mod chart;
mod check;
mod decoding;
mod docs;
mod explain;
mod fuzz;
mod gateways;
mod generate;
mod remedies;
mod search;
mod selectors;

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("offline");
}
