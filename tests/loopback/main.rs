//! Tests over real sockets on loopback: the HTTPS server, `lockstep serve` on manifests, the decision log,
//! `lockstep explain --probe`, and `lockstep dashboard`.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod audit;
mod cases;
mod dashboard;
mod probe;
mod serve;
mod server;

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("loopback");
}
