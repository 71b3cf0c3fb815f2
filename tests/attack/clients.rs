//! The clients that must be served: the API server and the kubelet.

use std::fmt;
use std::time::{Duration, Instant};

use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// The webhook's timeout in the chart.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The times of calls, and the number of those that failed.
#[derive(Debug, Default)]
pub struct Latencies {
    times: Vec<Duration>,
    failed: usize,
}

impl Latencies {
    /// Whether there were calls, none failed, and none took longer than `limit`.
    pub fn within(&self, limit: Duration) -> bool {
        self.failed == 0 && !self.times.is_empty() && self.times.iter().all(|time| *time <= limit)
    }

    fn add(&mut self, time: Duration, is_answered: bool) {
        if is_answered {
            self.times.push(time);
        } else {
            self.failed += 1;
        }
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.percentile(percent));
        let count = self.times.len();
        write!(
            f,
            "{count} answered, {} failed, p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms",
            self.failed
        )
    }
}

/// Sends 50 reviews a second, each over a new connection, because an API server that has none yet must get one. Each must
/// be judged.
pub async fn api_server(webhook: String, ca_pem: String, duration: Duration) -> Latencies {
    let (start, mut tick) = (Instant::now(), interval(Duration::from_millis(20)));
    let mut calls = JoinSet::new();
    let (tls, body) = (trusting(&ca_pem), review().to_string());
    let mut latencies = Latencies::default();
    while start.elapsed() < duration {
        tick.tick().await;
        let (webhook, tls, body) = (webhook.clone(), tls.clone(), body.clone());
        calls.spawn(async move {
            let start = Instant::now();
            let call = async move {
                let mut connection = Connection::open(&webhook, &tls).await;
                let answer = connection.post("/mutate", body).await;
                assert!(response(&answer)["patch"].is_string(), "the review is judged");
            };
            // The client panics if its connection is refused or reset.
            let is_answered = matches!(tokio::spawn(timeout(TIMEOUT, call)).await, Ok(Ok(())));
            (start.elapsed(), is_answered)
        });
        while let Some(Ok((time, is_answered))) = calls.try_join_next() {
            latencies.add(time, is_answered);
        }
    }
    while let Some(Ok((time, is_answered))) = calls.join_next().await {
        latencies.add(time, is_answered);
    }
    latencies
}

/// Sends both probes four times a second, each over a new connection.
pub async fn kubelet(admin: String, duration: Duration) -> Latencies {
    let (start, mut tick) = (Instant::now(), interval(Duration::from_millis(250)));
    let mut latencies = Latencies::default();
    while start.elapsed() < duration {
        tick.tick().await;
        for path in ["/livez", "/readyz"] {
            let start = Instant::now();
            let probe = timeout(Duration::from_secs(2), probe(&admin, path)).await;
            latencies.add(start.elapsed(), matches!(probe, Ok(Ok(true))));
        }
    }
    latencies
}

async fn probe(admin: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
