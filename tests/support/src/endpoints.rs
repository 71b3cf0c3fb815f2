//! The endpoints of the webhook's Service. No controller writes them, and replicas are processes of the test.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use crate::helm::NAMESPACE;
use crate::serve::Serve;

/// An address of this machine that an EndpointSlice may have. No packet is sent to find it.
pub fn own_address() -> IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").expect("this machine has a network interface with a route");
    socket.local_addr().unwrap().ip()
}

/// The slice of this name with one replica, whose port is its own.
pub fn endpoints_of(serve: &Serve, name: &str) -> Value {
    let address: SocketAddr = serve.webhook.parse().unwrap();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "lockstep"}},
        "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    })
}
