//! Machines, pods and the wires between them: network namespaces, a bridge and pairs of virtual cards.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::machines::{AUDIT, CLIENT, CONTROL, Machine, NODES};

/// The switch; multicast goes to every port, since nobody queries for groups here.
const SWITCH: &str = r"
ip netns add lan
ip -n lan link add br0 type bridge mcast_snooping 0
ip -n lan link set br0 up
ip netns attach control $$
";

/// Addresses are usable at once: nobody else can have them.
const NAMESPACE: &str = r#"
test "$name" = control || ip netns add "$name"
ip netns exec "$name" sh -euc '
    cd /proc/sys/net/ipv6/conf
    for each in all default; do echo 0 >$each/accept_dad; echo 0 >$each/accept_ra; done
'
ip -n "$name" link set lo up
"#;

const CARD: &str = r#"
ip link add eth0 netns "$name" address "$mac" type veth peer name "p$number" netns lan
ip -n lan link set "p$number" master br0 up
ip -n "$name" addr add "$v4/24" dev eth0
ip -n "$name" addr add "$v6/64" dev eth0 nodad
ip -n "$name" link set eth0 up
"#;

/// One client asks here as often as many do elsewhere, and its ports come round soon. A node that remembers what it did
/// with one, before it knew of the gateway or with a pod that is gone, would do it again.
///
/// A bridge without an address of its own takes one of its ports', and changes it when that pod goes.
const NODE: &str = r#"
ip netns exec "$name" sh -euc '
    for state in syn_sent time_wait; do echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_$state; done
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    for each in all default eth0; do echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter; done
'
ip -n "$name" link add cni0 address "02:00:00:00:01:$number" type bridge
ip -n "$name" addr add "$pod_v4/24" dev cni0
ip -n "$name" addr add "$pod_v6/64" dev cni0 nodad
ip -n "$name" link set cni0 up
"#;

const ROUTE: &str = r#"
ip -n "$name" route add "$cidr_v4" via "$v4"
ip -n "$name" route add "$cidr_v6" via "$v6"
"#;

const POD: &str = r#"
ip link add eth0 netns "$name" type veth peer name "$port" netns "$node"
ip -n "$node" link set "$port" master cni0 up
ip -n "$name" addr add "$v4/24" dev eth0
ip -n "$name" addr add "$v6/64" dev eth0 nodad
ip -n "$name" link set eth0 up
ip -n "$name" route add default via "$pod_v4"
ip -n "$name" route add default via "$pod_v6"
"#;

fn run(script: &str, variables: &[(&str, String)]) {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).envs(variables.iter().map(|(name, value)| (*name, value)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\nin {variables:?}:\n{script}");
}

fn variables(machine: Machine) -> Vec<(&'static str, String)> {
    vec![
        ("name", machine.name.to_owned()),
        ("number", machine.number.to_string()),
        ("mac", machine.mac()),
        ("v4", machine.v4().to_string()),
        ("v6", machine.v6().to_string()),
        ("pod_v4", machine.pod_v4(1).to_string()),
        ("pod_v6", machine.pod_v6(1).to_string()),
    ]
}

/// Makes all machines, and the wires between them.
pub fn build() {
    run(SWITCH, &[]);
    for machine in NODES.into_iter().chain([CONTROL, CLIENT, AUDIT]) {
        run(&[NAMESPACE, CARD].concat(), &variables(machine));
    }
    for node in NODES {
        run(NODE, &variables(node));
    }
    // The client is told nothing of pods: it reaches them through the gateway's address or not at all.
    for machine in NODES.into_iter().chain([AUDIT]) {
        for node in NODES.into_iter().filter(|node| *node != machine) {
            let [v4, v6] = node.pod_cidrs();
            let route = [
                ("name", machine.name.to_owned()),
                ("cidr_v4", v4),
                ("cidr_v6", v6),
                ("v4", node.v4().to_string()),
                ("v6", node.v6().to_string()),
            ];
            run(ROUTE, &route);
        }
    }
}

/// Makes the namespace of a node's n-th pod.
pub fn add_pod(name: &str, node: Machine, n: u8) {
    let pod = [
        ("name", name.to_owned()),
        ("node", node.name.to_owned()),
        ("port", format!("pod{n}")),
        ("v4", node.pod_v4(n).to_string()),
        ("v6", node.pod_v6(n).to_string()),
        ("pod_v4", node.pod_v4(1).to_string()),
        ("pod_v6", node.pod_v6(1).to_string()),
    ];
    run(&[NAMESPACE, POD].concat(), &pod);
}

/// Removes it; its wire goes with it once nothing runs in it.
pub fn remove_pod(name: &str) {
    run("ip netns delete \"$name\"", &[("name", name.to_owned())]);
}

/// Pulls a machine's cable out of the switch.
pub fn unplug(machine: Machine) {
    run("ip -n lan link set \"p$number\" nomaster", &variables(machine));
}

/// Puts it back.
pub fn plug(machine: Machine) {
    run("ip -n lan link set \"p$number\" master br0", &variables(machine));
}

/// A program of a machine or a pod.
pub fn command(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Runs `work` on a thread of its own that is in a namespace.
pub fn spawn<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    })
}

/// The same, and waits for it.
pub fn within<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn(namespace, work).join().unwrap()
}
