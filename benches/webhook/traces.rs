//! The cost of tracing: reviews without a trace, in a trace that is not sampled, and in one that is, each as a span to a collector.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;

use super::load::Call;
use super::process::Server;
use super::{ALLOWED, Contestant, Effort, IN_FLIGHT, compare};

const UNSAMPLED: Call =
    Call { traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), ..ALLOWED };
const SAMPLED: Call =
    Call { traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ..ALLOWED };

/// The URL of a collector that takes everything and decodes nothing, so that it costs as little as possible.
static COLLECTOR: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A killed server may have sent half a request.
            let _ = take(stream);
        }
    });
    format!("http://{address}")
});

fn take(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > "\r\n".len() {
        let header = line.trim().split_once(": ");
        if let Some((_, value)) = header.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.parse().unwrap_or_default();
        }
        line.clear();
    }
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
}

fn tracing() -> Server {
    Server::tracing(&COLLECTOR)
}

pub async fn print(effort: Effort) {
    let contestants = [
        Contestant::new("no collector, no trace", Server::lockstep, ALLOWED),
        Contestant::new("no collector, not sampled", Server::lockstep, UNSAMPLED),
        Contestant::new("collector, no trace", tracing, ALLOWED),
        Contestant::new("collector, not sampled", tracing, UNSAMPLED),
        // Of these, a hundred a second are exported, because wrk has no client certificate; the others are counted.
        Contestant::new("collector, sampled", tracing, SAMPLED),
    ];
    compare("allowed, by its trace", &contestants, IN_FLIGHT, false, effort).await;
}
