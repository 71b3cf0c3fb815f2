//! The gateway's proxy and the audit log behind it. Both are HAProxy.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use super::machines::AUDIT;
use super::network;
use super::program::{Program, log};

/// The requests that the gateway forwards, and what every proxy of a run has in common.
const DEFAULTS: &str = "
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
";

/// One line for every request: the path, who asked according to the gateway, and which gateway said so. The answer
/// says the same.
const AUDIT_LOG: &str = "
frontend audit
    bind 0.0.0.0:80
    bind [::]:80 v6only
    log stdout format raw local0
    http-request capture req.hdr(x-forwarded-for) len 64
    log-format \"%HP %[capture.req.hdr(0)] %ci\"
    http-request return status 200 content-type text/plain lf-string \"%[capture.req.hdr(0)] %[src]\"
";

/// The name of the audit log's program.
const NAME: &str = "audit";

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path of the request.
    pub path: String,
    /// The client's address, as the gateway gave it.
    pub source: IpAddr,
    /// The gateway pod's address.
    pub gateway: IpAddr,
}

/// Starts the audit log.
pub fn start() -> Program {
    let config = write(NAME, &format!("global\n    nbthread 1\n{DEFAULTS}{AUDIT_LOG}"));
    Program::start(NAME, network::command(AUDIT.name, "haproxy").arg("-f").arg(config))
}

/// Starts a gateway in the namespace of its pod. It adds the address of whoever connects to `X-Forwarded-For`.
pub fn start_gateway(pod: &str) -> Program {
    let gateway = format!(
        "frontend http2\n    bind 0.0.0.0:8080\n    bind [::]:8080 v6only\n    option forwardfor\n    default_backend audit\n\
         backend audit\n    server audit {}:80\n",
        AUDIT.v4()
    );
    let config = write(pod, &format!("global\n    nbthread 1\n{DEFAULTS}\n{gateway}"));
    Program::start(pod, network::command(pod, "haproxy").arg("-f").arg(config))
}

fn write(name: &str, config: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{name}.cfg"));
    fs::write(&path, config).unwrap();
    path
}

/// The entries of the audit log for a path.
pub fn entries(path: &str) -> Vec<Entry> {
    let text = String::from_utf8_lossy(&fs::read(log(NAME)).unwrap()).into_owned();
    text.lines().filter_map(entry).filter(|entry| entry.path == path).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let path = words.next()?.to_owned();
    Some(Entry { path, source: words.next()?.parse().ok()?, gateway: words.next()?.parse().ok()? })
}
