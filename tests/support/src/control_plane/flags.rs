//! The command lines of the servers.

use std::path::Path;

/// etcd on two loopback ports, without `fsync`: no data has to survive a power failure.
pub(super) fn etcd(directory: &Path, client: u16, peer: u16) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    vec![
        format!("--data-dir={}", directory.join("data").display()),
        "--unsafe-no-fsync".to_owned(),
        "--socket-reuse-port".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

/// kube-apiserver with real RBAC, on the files [`super::credentials`] has written.
pub(super) fn api_server(directory: &Path, secure: u16, etcd_client: u16) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_client}"),
        format!("--secure-port={secure}"),
        "--permit-port-sharing".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        // Without these two, it looks for the address of a network interface, and a sandbox may have none.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        file("tls-cert-file", "tls.crt"),
        file("tls-private-key-file", "tls.key"),
        file("token-auth-file", "tokens.csv"),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        // The plugin would reject every pod: no controller creates the `default` ServiceAccount that it requires.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]
}
