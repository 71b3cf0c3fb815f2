//! Namespaces of the kernel in which the test runs once more: network, mounts and processes.
//!
//! Nothing that happens inside can be seen outside, and nothing outlives it: when the first process inside ends, in
//! whatever way, the kernel kills all the others, and with the last of them go mounts, files and networks.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lockstep_test_support::control_plane::{MetalLb, assets, helm, machinery, metallb_crds};

/// Set for the test that runs inside.
const INSIDE: &str = "LOCKSTEP_PACKETS_INSIDE";

/// Five minutes are usual.
const DEADLINE: Duration = Duration::from_secs(900);

/// Between two looks at whether it has ended.
const BETWEEN: Duration = Duration::from_millis(100);

/// The programs that the test runs and does not build, and their Debian packages.
const PROGRAMS: [(&str, &str); 5] = [
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("haproxy", "haproxy"),
];

/// `unshare` ends with the test, since a thread of it is the parent, and everything inside ends with `unshare`.
const WAY_IN: [&str; 10] = [
    "setpriv",
    "--pdeathsig=KILL",
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
];

/// Files and named network namespaces live in memory and go with the mount.
const FURNISH: &str = r#"
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir /run/netns /run/tmp
exec "$@"
"#;

/// Runs `world` inside, where `test` is the name of the calling test. Fails on a machine on which it cannot run, and
/// says why.
pub fn inside(test: &str, world: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return world();
    }
    if let Some(reason) = refusal() {
        panic!("the packet test cannot run: {reason}");
    }
    build();
    let mut child = Command::new(WAY_IN[0])
        .args(&WAY_IN[1..])
        .args(["sh", "-euc", FURNISH, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .env("TMPDIR", "/run/tmp")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > DEADLINE => {
                child.kill().unwrap();
                panic!("the packet test was not done after {DEADLINE:?}");
            }
            None => std::thread::sleep(BETWEEN),
        }
    };
    assert!(status.success(), "the packet test failed; what the programs logged is in `target/packets/logs`");
}

/// Says something at once, and when: the test harness would keep it until the end.
pub fn say(sentence: std::fmt::Arguments<'_>) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let seconds = BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64();
    let _ = writeln!(std::io::stderr(), "packets: {seconds:5.1} s: {sentence}");
}

fn refusal() -> Option<String> {
    for (program, package) in PROGRAMS {
        if !runs(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program])) {
            return Some(format!("there is no `{program}`; install {package}"));
        }
    }
    let may = runs(Command::new(WAY_IN[0]).args(&WAY_IN[1..]).args(["sh", "-ec", "ip link set lo up"]));
    (!may).then(|| "it takes root, and a kernel that lets it make namespaces".to_owned())
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Makes what is missing in the cache: inside there is no way to the network.
fn build() {
    assets().unwrap();
    helm().unwrap();
    machinery().unwrap();
    metallb_crds(MetalLb::V0_15_2).unwrap();
}
