//! Resident memory: idle on the facts of `examples/seed`, and after load on the facts of a large cluster.

use std::fmt::Write as _;
use std::time::Duration;

use super::load;
use super::process::Server;

/// Measures resident memory and prints it.
pub async fn print(load_time: Duration) {
    let mut idle = Server::lockstep();
    idle.ready().await;
    println!("resident, the seed's facts, idle: {:.1} MB", idle.resident());

    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("large.yaml"), large_cluster()).expect("a temporary file");
    let mut large = Server::lockstep_on(folder.path());
    let address = large.ready().await;
    let before = large.resident();
    load::run(&large, &address, super::PATCHED, super::IN_FLIGHT, load_time).await;
    println!(
        "resident, 10,000 nodes, 1,000 Services, 1,000 advertisements: {before:.1} MB, after load {:.1} MB",
        large.resident()
    );
}

fn large_cluster() -> String {
    let mut text = String::new();
    for n in 0..10_000 {
        let placement = if n % 10 == 0 { "arp" } else { "none" };
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: node-{n}\n  labels:\n    kubernetes.io/hostname: node-{n}\n    \
             kubernetes.io/os: linux\n    kubernetes.io/arch: amd64\n    beta.kubernetes.io/os: linux\n    \
             beta.kubernetes.io/arch: amd64\n    node.kubernetes.io/instance-type: m5.xlarge\n    \
             topology.kubernetes.io/region: eu-1\n    topology.kubernetes.io/zone: eu-1a\n    \
             loadbalancerIPs.metallb.io: {placement}\n"
        );
    }
    for n in 0..1_000 {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: service-{n}\n  namespace: istio-system\n  labels:\n    app: service-{n}\n\
             spec:\n  selector:\n    app: service-{n}\n  ports:\n  - port: 80\n\
             ---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata:\n  name: advertisement-{n}\n  namespace: metallb-system\n\
             spec:\n  ipAddressPools: [pool-{n}]\n  nodeSelectors:\n  - matchLabels:\n      loadbalancerIPs.metallb.io: arp\n"
        );
    }
    text
}
