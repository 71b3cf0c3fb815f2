//! Load from wrk: connections with one request at a time each. wrk has one thread, so on two cores the server has a
//! core to itself.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::https::{Connection, trusting};
use super::process::{Address, Server};

/// The figures of one load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Reviews per second.
    pub rate: f64,
    /// The median latency in seconds.
    pub p50: f64,
    /// The 99th percentile of the latency in seconds.
    pub p99: f64,
    /// The server's CPU time in seconds per 10,000 reviews.
    pub cpu: f64,
}

impl Load {
    /// Returns the median of each figure.
    pub fn median(loads: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(loads.iter().map(figure));
        Self {
            rate: of(|load| load.rate),
            p50: of(|load| load.p50),
            p99: of(|load| load.p99),
            cpu: of(|load| load.cpu),
        }
    }
}

/// The ratios of the figures of two loads.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub cpu: f64,
}

impl Ratio {
    /// Returns the median of the ratios within each round.
    pub fn median(loads: &[Load], bases: &[Load]) -> Self {
        let of = |figure: fn(&Load) -> f64| {
            median(loads.iter().zip(bases).map(|(load, base)| figure(load) / figure(base)))
        };
        Self {
            rate: of(|load| load.rate),
            p50: of(|load| load.p50),
            p99: of(|load| load.p99),
            cpu: of(|load| load.cpu),
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) {
        (figures[middle - 1] + figures[middle]) / 2.0
    } else {
        figures[middle]
    }
}

/// A call that is measured.
#[derive(Clone, Copy)]
pub struct Call {
    pub path: &'static str,
    pub body: fn() -> Vec<u8>,
    /// The text that every response must contain.
    pub marker: &'static str,
    /// The header of the trace that it belongs to.
    pub traceparent: Option<&'static str>,
}

/// Loads a server over this many connections for a while. Its responses must contain the marker before and after, and be 200 throughout.
pub async fn run(server: &Server, address: &Address, call: Call, in_flight: usize, time: Duration) -> Load {
    run_with(server, address, call, in_flight, false, time).await
}

/// Loads a server as [`run`] does. If it `closes`, each call has a connection of its own.
pub async fn run_with(
    server: &Server,
    address: &Address,
    call: Call,
    in_flight: usize,
    closes: bool,
    time: Duration,
) -> Load {
    let script = script(call, closes);
    once(address, call).await;
    // A warm-up that is not measured: the first requests pay for page faults and cold caches.
    wrk(address, script.path(), in_flight, Duration::from_secs(1)).await;
    let (cpu, start) = (server.cpu(), Instant::now());
    let report = wrk(address, script.path(), in_flight, time).await;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), server.cpu() - cpu);
    once(address, call).await;
    assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{report}");
    let count = number(&report, " requests in");
    Load {
        rate: count / elapsed,
        p50: latency(&report, "50%"),
        p99: latency(&report, "99%"),
        cpu: cpu * 10_000.0 / count,
    }
}

/// Sends one request over a connection of its own and asserts its response.
pub async fn once(address: &Address, call: Call) {
    let Call { path, body, marker, traceparent } = call;
    let mut connection = Connection::open(&address.webhook, &trusting(&address.ca_pem)).await;
    let answer = connection.post_in_trace(path, traceparent.as_slice(), body()).await;
    let is_right =
        answer.status.is_success() && answer.body.windows(marker.len()).any(|part| part == marker.as_bytes());
    assert!(is_right, "{}: {:?}", answer.status, answer.body);
}

fn script(call: Call, closes: bool) -> tempfile::NamedTempFile {
    let Call { path, body, traceparent, .. } = call;
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    let body = String::from_utf8(body()).expect("a review is text");
    let connection = if closes { "wrk.headers[\"Connection\"] = \"close\"\n" } else { "" };
    let trace =
        traceparent.map_or_else(String::new, |value| format!("wrk.headers[\"traceparent\"] = \"{value}\"\n"));
    let text = format!(
        "{connection}{trace}wrk.method = \"POST\"\nwrk.path = \"{path}\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [==[{body}]==]\n"
    );
    std::fs::write(script.path(), text).expect("a temporary file");
    script
}

async fn wrk(address: &Address, script: &Path, in_flight: usize, time: Duration) -> String {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &in_flight.to_string(), "--latency", "--duration"])
        .arg(format!("{}s", time.as_secs().max(1)))
        .arg("--script")
        .arg(script)
        .arg(format!("https://{}/", address.webhook))
        .output()
        .await
        .expect("this benchmark needs `wrk`: install it (Debian: apt-get install wrk)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the number before `word`.
fn number(report: &str, word: &str) -> f64 {
    let before = report.split(word).next().unwrap_or_default();
    before
        .split_whitespace()
        .last()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{report}"))
}

/// Returns the latency at a percentile, in seconds.
fn latency(report: &str, percentile: &str) -> f64 {
    let line = report.lines().find(|line| line.trim_start().starts_with(percentile));
    let text = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_else(|| panic!("{report}"));
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or_else(|_| panic!("{report}")) * seconds
}
