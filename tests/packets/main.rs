//! Proof with real packets: in a cluster of network namespaces, a client's requests are counted by the address that
//! arrives in an audit log behind the gateway, without Lockstep and with it. At each count, `lockstep explain` must say
//! what the packets show. It takes root, iproute2, nftables and haproxy, and Go for the first run.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod agreement;
mod audit;
mod client;
mod cluster;
mod kubelet;
mod lockstep;
mod machines;
mod network;
mod objects;
mod picture;
mod program;
mod report;
mod sandbox;
mod scenarios;
mod stage;

#[test]
fn the_clients_address_survives_real_packets() {
    sandbox::inside("the_clients_address_survives_real_packets", scenarios::all);
}

#[test]
fn the_tests_named_in_documents_exist() {
    lockstep_test_support::documents::assert_named_tests_exist("packets");
}
