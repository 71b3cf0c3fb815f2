//! Load: some connections, each with one request at a time, as the API server does it.

use std::time::{Duration, Instant};

use axum::body::Bytes;

use super::https::{Connection, trusting};
use super::process::{Address, Server};

const IN_FLIGHT: usize = 16;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Reviews per second.
    pub rate: f64,
    /// Seconds.
    pub p50: f64,
    /// Seconds.
    pub p99: f64,
    /// Seconds of the server's CPU per 10,000 reviews.
    pub cpu: f64,
}

impl Load {
    /// Of each figure by itself.
    pub fn median(loads: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = loads.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            let middle = figures.len() / 2;
            if figures.len().is_multiple_of(2) {
                (figures[middle - 1] + figures[middle]) / 2.0
            } else {
                figures[middle]
            }
        };
        Self {
            rate: of(|load| load.rate),
            p50: of(|load| load.p50),
            p99: of(|load| load.p99),
            cpu: of(|load| load.cpu),
        }
    }
}

/// Loads a server for a while. Every answer must contain `marker`.
pub async fn run(
    server: &Server,
    address: &Address,
    path: &'static str,
    body: Vec<u8>,
    marker: &'static str,
    time: Duration,
) -> Load {
    // Not measured: the first requests pay for pages and branches that later ones find warm.
    burst(address, path, body.clone(), marker, time / 5).await;
    let (cpu, start) = (server.cpu(), Instant::now());
    let mut latencies = burst(address, path, body, marker, time).await;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), server.cpu() - cpu);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64();
    let count = latencies.len() as f64;
    Load { rate: count / elapsed, p50: at(0.5), p99: at(0.99), cpu: cpu * 10_000.0 / count }
}

/// One request, on a connection of its own.
pub async fn once(address: &Address, path: &'static str, body: Vec<u8>, marker: &'static str) {
    let mut connection = Connection::open(&address.webhook, &trusting(&address.ca_pem)).await;
    ask(&mut connection, path, body.into(), marker).await;
}

async fn burst(
    address: &Address,
    path: &'static str,
    body: Vec<u8>,
    marker: &'static str,
    time: Duration,
) -> Vec<Duration> {
    let tls = trusting(&address.ca_pem);
    let body = Bytes::from(body);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (mut connection, body) = (Connection::open(&address.webhook, &tls).await, body.clone());
        clients.spawn(async move {
            let (mut latencies, end) = (Vec::new(), Instant::now() + time);
            while Instant::now() < end {
                let start = Instant::now();
                ask(&mut connection, path, body.clone(), marker).await;
                latencies.push(start.elapsed());
            }
            latencies
        });
    }
    clients.join_all().await.concat()
}

async fn ask(connection: &mut Connection, path: &str, body: Bytes, marker: &str) {
    let answer = connection.post(path, body).await;
    let is_right =
        answer.status.is_success() && answer.body.windows(marker.len()).any(|part| part == marker.as_bytes());
    assert!(is_right, "{}: {:?}", answer.status, answer.body);
}
