//! Proof with real packets: in a cluster of network namespaces, a client's requests are counted by the address that
//! arrives in an audit log behind the gateway, without Lockstep and with it.

mod support;

#[allow(dead_code, unreachable_pub, reason = "every program uses its own part of what is shared")]
mod chart {
    #[path = "../chart/account.rs"]
    pub mod account;
    #[path = "../chart/cluster.rs"]
    pub mod cluster;
    #[path = "../chart/helm.rs"]
    pub mod helm;
}

#[allow(unreachable_pub, reason = "this is a program")]
mod e2e {
    pub mod audit;
    pub mod client;
    pub mod cluster;
    pub mod kubelet;
    pub mod lockstep;
    pub mod machines;
    pub mod network;
    pub mod objects;
    pub mod picture;
    pub mod program;
    pub mod report;
    pub mod sandbox;
    pub mod scenarios;
    pub mod stage;
}

#[test]
fn the_clients_address_survives_real_packets() {
    e2e::sandbox::inside("the_clients_address_survives_real_packets", e2e::scenarios::all);
}
