//! Tests against a real control plane: etcd, kube-apiserver, and Prometheus' promtool. The first run builds them,
//! which requires Go.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod audit;
mod cases;
mod certificates;
mod check;
mod cluster;
mod conditions;
mod dashboard;
mod explain;
mod faults;
mod generate;
mod metrics;
mod recipes;
mod replicas;
mod reports;
mod rotation;
mod serve;
mod soak;
mod states;
mod status;
mod topologies;
mod tracing;

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("control_plane");
}
