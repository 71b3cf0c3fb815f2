//! Clients that do not get on with it.

use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockstep::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, Trust, handshake, soon};
use super::rig::{Rig, limits};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_half_open_handshake_is_cut_while_others_are_served() {
    let rig = Rig::start(Limits { handshake: SHORT, ..limits() }).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(rig.post("/mutate", "x").await.status, 200);
    assert_eq!(soon(silent.read(&mut [0])).await.unwrap(), 0);
    assert!(started.elapsed() >= SHORT);
    rig.shows("tls_handshakes_failed_total{reason=\"timeout\"} 1").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_cut() {
    let rig = Rig::start(limits()).await;
    let mut client = Client::over(TcpStream::connect(rig.address).await.unwrap());
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    client.end().await;
    rig.shows("tls_handshakes_failed_total{reason=\"protocol\"} 1").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted_as_such() {
    let rig = Rig::start(limits()).await;
    let stranger = Trust::in_authorities([]);
    assert!(Client::connect(rig.address, &stranger).await.is_err());
    rig.shows("tls_handshakes_failed_total{reason=\"alert\"} 1").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_during_the_handshake_is_counted_as_such() {
    let rig = Rig::start(limits()).await;
    drop(TcpStream::connect(rig.address).await.unwrap());
    rig.shows("tls_handshakes_failed_total{reason=\"disconnect\"} 1").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_cut() {
    let rig = Rig::start(Limits { first_request: SHORT, ..limits() }).await;
    let started = Instant::now();
    rig.connect().await.end().await;
    assert!(started.elapsed() >= SHORT);
    rig.shows("connections_open 0").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_cut() {
    let rig = Rig::start(Limits { first_request: SHORT, ..limits() }).await;
    let mut client = rig.connect().await;
    client.send("POST /mutate HTTP/1.1\r\nhost:").await.unwrap();
    client.end().await;
    rig.shows("connections_open 0").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_later_head_that_takes_too_long_is_cut() {
    let rig = Rig::start(Limits { idle: SHORT, ..limits() }).await;
    let mut client = rig.connect().await;
    client.post("/mutate", "x").await.unwrap();
    client.send("POST /mutate HTTP/1.1\r\nhost:").await.unwrap();
    client.end().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_head_over_its_limit_is_refused() {
    let rig = Rig::start(Limits { header_bytes: 8192, ..limits() }).await;
    let mut client = rig.connect().await;
    let long = "x".repeat(9000);
    client.send(&format!("POST /mutate HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 431);
    rig.stop().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_deadline_of_the_first_request() {
    let rig = Rig::start(Limits { first_request: SHORT, ..limits() }).await;
    let mut client = rig.connect().await;
    client.post("/mutate", "x").await.unwrap();
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(client.post("/mutate", "y").await.unwrap().body, "/mutate y");
    rig.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_last() {
    let rig = Rig::start(Limits { idle: SHORT, ..limits() }).await;
    let mut client = rig.connect().await;
    client.post("/mutate", "x").await.unwrap();
    let started = Instant::now();
    client.end().await;
    assert!(started.elapsed() >= SHORT);
    rig.stop().await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_at_last() {
    let rig = Rig::start(Limits { first_request: SHORT, idle: SHORT, body: SHORT, ..limits() }).await;
    let stream = handshake(rig.address, rig.trust.config("h2", rustls::ALL_VERSIONS)).await.unwrap();
    let (client, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    soon(connection).await.unwrap();
    assert!(client.is_closed());
    rig.shows("connections_open 0").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_cut() {
    let rig = Rig::start(Limits { first_request: SHORT, idle: SHORT, body: SHORT, ..limits() }).await;
    let mut deaf = handshake(rig.address, rig.trust.config("http/1.1", rustls::ALL_VERSIONS)).await.unwrap();
    let request = super::client::request("/mutate", &"x".repeat(1 << 20));
    // The server stops to read when it cannot write, and the client is stuck as well, until it is cut.
    let cut = soon(async {
        loop {
            if let Err(error) = deaf.write_all(request.as_bytes()).await {
                return error;
            }
        }
    });
    cut.await;
    rig.shows("connections_open 0").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_for_a_place() {
    let rig = Rig::start(Limits { connections: 1, ..limits() }).await;
    let mut first = rig.connect().await;
    first.post("/mutate", "x").await.unwrap();
    let (address, trust) = (rig.address, rig.trust.clone());
    let second =
        tokio::spawn(
            async move { Client::connect(address, &trust).await.unwrap().post("/mutate", "y").await },
        );
    // It is in the kernel's queue by now, or will be: in neither case may it be served.
    tokio::time::sleep(SHORT).await;
    assert!(!second.is_finished());
    assert!(rig.metrics().contains("connections_total 1"));
    drop(first);
    assert_eq!(soon(second).await.unwrap().unwrap().body, "/mutate y");
    rig.stop().await;
}
