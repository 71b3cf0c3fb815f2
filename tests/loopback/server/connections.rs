//! Connections that fail, time out, or exceed the limit.

use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockstep::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, Trust, handshake, soon};
use super::test_server::{TestServer, limits};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_half_open_handshake_times_out_while_others_are_served() {
    let server = TestServer::start(Limits { handshake: SHORT, ..limits() }).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    assert_eq!(soon(silent.read(&mut [0])).await.unwrap(), 0);
    assert!(started.elapsed() >= SHORT);
    server.has_metric("tls_handshakes_failed_total{reason=\"timeout\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_tls_is_disconnected() {
    let server = TestServer::start(limits()).await;
    let mut client = Client::over(TcpStream::connect(server.address).await.unwrap());
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    client.end().await;
    server.has_metric("tls_handshakes_failed_total{reason=\"protocol\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let server = TestServer::start(limits()).await;
    let stranger = Trust::in_authorities([]);
    assert!(Client::connect(server.address, &stranger).await.is_err());
    server.has_metric("tls_handshakes_failed_total{reason=\"alert\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_disconnects_during_the_handshake_is_counted() {
    let server = TestServer::start(limits()).await;
    drop(TcpStream::connect(server.address).await.unwrap());
    server.has_metric("tls_handshakes_failed_total{reason=\"disconnect\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_request_times_out() {
    let server = TestServer::start(Limits { first_request: SHORT, ..limits() }).await;
    let started = Instant::now();
    server.connect().await.end().await;
    assert!(started.elapsed() >= SHORT);
    server.has_metric("connections_open 0").await;
    server.stop().await;
}

#[tokio::test]
async fn a_slow_first_head_times_out() {
    let server = TestServer::start(Limits { first_request: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.send("POST /mutate HTTP/1.1\r\nhost:").await.unwrap();
    client.end().await;
    server.has_metric("connections_open 0").await;
    server.stop().await;
}

#[tokio::test]
async fn a_slow_later_head_times_out() {
    let server = TestServer::start(Limits { idle: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.post("/mutate", "x").await.unwrap();
    client.send("POST /mutate HTTP/1.1\r\nhost:").await.unwrap();
    client.end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_rejected() {
    let server = TestServer::start(Limits { header_bytes: 8192, ..limits() }).await;
    let mut client = server.connect().await;
    let long = "x".repeat(9000);
    client.send(&format!("POST /mutate HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 431);
    server.stop().await;
}

#[tokio::test]
async fn the_deadline_of_the_first_request_does_not_close_a_connection_that_had_one() {
    let server = TestServer::start(Limits { first_request: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.post("/mutate", "x").await.unwrap();
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(client.post("/mutate", "y").await.unwrap().body, "/mutate y");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = TestServer::start(Limits { idle: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.post("/mutate", "x").await.unwrap();
    let started = Instant::now();
    client.end().await;
    assert!(started.elapsed() >= SHORT);
    server.stop().await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let server =
        TestServer::start(Limits { first_request: SHORT, idle: SHORT, body: SHORT, ..limits() }).await;
    let stream = handshake(server.address, server.trust.config("h2", rustls::ALL_VERSIONS)).await.unwrap();
    let (client, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    soon(connection).await.unwrap();
    assert!(client.is_closed());
    server.has_metric("connections_open 0").await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_no_responses_is_disconnected() {
    let server =
        TestServer::start(Limits { first_request: SHORT, idle: SHORT, body: SHORT, ..limits() }).await;
    let mut deaf =
        handshake(server.address, server.trust.config("http/1.1", rustls::ALL_VERSIONS)).await.unwrap();
    let request = super::client::request("/mutate", &"x".repeat(1 << 20));
    // The server stops reading when it cannot write. Both ends are stuck until the server closes the connection.
    let cut = soon(async {
        loop {
            if let Err(error) = deaf.write_all(request.as_bytes()).await {
                return error;
            }
        }
    });
    cut.await;
    server.has_metric("connections_open 0").await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_unless_another_one_of_its_peer_has_waited() {
    let server =
        TestServer::start(Limits { connections: 1, settled: Duration::from_secs(3600), ..limits() }).await;
    let mut first = server.connect().await;
    first.post("/mutate", "x").await.unwrap();
    assert!(server.try_connect().await.is_err());
    server.has_metric("connections_refused_total 1").await;
    assert_eq!(first.post("/mutate", "y").await.unwrap().body, "/mutate y");
    drop(first);
    server.has_metric("connections_open 0").await;
    assert_eq!(server.post("/mutate", "z").await.body, "/mutate z");
    server.stop().await;

    let server = TestServer::start(Limits { connections: 1, settled: Duration::ZERO, ..limits() }).await;
    let mut first = server.connect().await;
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    first.end().await;
    server.has_metric("connections_evicted_total{reason=\"places\"} 1").await;
    server.stop().await;
}
