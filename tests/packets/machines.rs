//! The machines of the network and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A machine in the one local network: a network namespace with a card in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The name of its namespace.
    pub name: &'static str,
    /// The last part of its addresses.
    pub number: u8,
}

/// The API server, the controllers and Lockstep; the test itself runs here.
pub const CONTROL: Machine = Machine { name: "control", number: 2 };

/// The person in front of the gateway.
pub const CLIENT: Machine = Machine { name: "client", number: 100 };

/// The server behind the gateway, which keeps the audit log.
pub const AUDIT: Machine = Machine { name: "audit", number: 50 };

/// The nodes. MetalLB prefers them in this order for the gateway's address; the first one is no gateway node.
pub const NODES: [Machine; 3] = [
    Machine { name: "demo-dev-worker-02", number: 12 },
    Machine { name: "demo-dev-worker-04", number: 14 },
    Machine { name: "demo-dev-worker-03", number: 13 },
];

/// The node that runs no gateway.
pub const OTHER: Machine = NODES[0];

/// The gateway node that MetalLB prefers.
pub const FIRST: Machine = NODES[1];

/// The gateway node that takes over.
pub const SECOND: Machine = NODES[2];

/// The addresses that the gateway's Service gets from the pool.
pub const GATEWAY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 6, 229, 181)), IpAddr::V6(Ipv6Addr::new(0xfd06, 0, 0, 0, 0, 0, 0, 0x181))];

/// The pool, as MetalLB reads it. It has exactly one address of each kind.
pub const POOL: [&str; 2] = ["10.6.229.181/32", "fd06::181/128"];

/// The addresses that the Service gets if another one has those.
pub const SECOND_GATEWAY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 6, 229, 182)), IpAddr::V6(Ipv6Addr::new(0xfd06, 0, 0, 0, 0, 0, 0, 0x182))];

/// The second pool, which has exactly one address of each kind, too.
pub const SECOND_POOL: [&str; 2] = ["10.6.229.182/32", "fd06::182/128"];

impl Machine {
    /// Its IPv4 address.
    pub fn v4(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 6, 229, self.number)
    }

    /// Its IPv6 address, which looks alike.
    pub fn v6(self) -> Ipv6Addr {
        let digits = u16::from_str_radix(&self.number.to_string(), 16).unwrap();
        Ipv6Addr::new(0xfd06, 0, 0, 0, 0, 0, 0, digits)
    }

    /// The address of its card.
    pub fn mac(self) -> String {
        format!("02:00:00:00:00:{:02x}", self.number)
    }

    /// The IPv4 address of its n-th pod; the first address is the node's own.
    pub fn pod_v4(self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.number, n)
    }

    /// The same in IPv6.
    pub fn pod_v6(self, n: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd44, 0, 0, u16::from(self.number), 0, 0, 0, u16::from(n))
    }

    /// The addresses of its pods.
    pub fn pod_cidrs(self) -> [String; 2] {
        [format!("{}/24", self.pod_v4(0)), format!("{}/64", self.pod_v6(0))]
    }
}

/// The node whose card has this address.
pub fn node_with_mac(mac: &str) -> Option<Machine> {
    NODES.into_iter().find(|node| node.mac() == mac)
}

/// The node that a pod's address belongs to.
pub fn node_of_pod(address: IpAddr) -> Option<Machine> {
    let IpAddr::V4(address) = address else { return None };
    NODES.into_iter().find(|node| node.pod_v4(0).octets()[..3] == address.octets()[..3])
}

/// The name of an address in the report.
pub fn name_of(address: IpAddr) -> String {
    let is = |machine: Machine| address == machine.v4() || address == machine.v6();
    let bridge = |node: Machine| address == node.pod_v4(1) || address == node.pod_v6(1);
    let machine = NODES.into_iter().chain([CONTROL, CLIENT, AUDIT]).find(|machine| is(*machine));
    match (machine, NODES.into_iter().find(|node| bridge(*node))) {
        (Some(machine), _) => format!("{address} ({})", machine.name),
        (None, Some(node)) => format!("{address} (the pod network's bridge on {})", node.name),
        (None, None) => address.to_string(),
    }
}
