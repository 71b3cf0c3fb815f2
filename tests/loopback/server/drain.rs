//! Stopping a server: drain, grace period, abort.

use std::time::{Duration, Instant};

use lockstep::server::Limits;
use tokio::net::TcpStream;

use super::client::{Client, request, soon};
use super::test_server::{TestServer, limits};

/// A duration that is longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_draining_server_serves_calls_and_closes_their_connections() {
    let server = TestServer::start(Limits { drain: FOR_EVER, ..limits() }).await;
    let mut old = server.connect().await;
    assert!(!old.post("/mutate", "x").await.unwrap().closes());
    server.shutdown.drain.cancel();
    until_not_ready(&server).await;
    for _ in 0..2 {
        let answer = server.post("/mutate", "x").await;
        assert_eq!(answer.status, 200);
        assert!(answer.closes(), "a new connection is closed after one answer");
    }
    assert!(old.post("/mutate", "y").await.unwrap().closes(), "an old connection is closed, too");
    old.end().await;
    server.shutdown.abort.cancel();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_draining_server_ends_after_the_drain() {
    const DRAIN: Duration = Duration::from_millis(300);
    let server = TestServer::start(Limits { drain: DRAIN, ..limits() }).await;
    let (address, trust) = (server.address, server.trust.clone());
    let started = Instant::now();
    server.shutdown.drain.cancel();
    server.ended().await.unwrap();
    assert!(started.elapsed() >= DRAIN);
    assert!(Client::connect(address, &trust).await.is_err());
}

#[tokio::test]
async fn a_draining_server_closes_the_connection_after_an_error() {
    let server = TestServer::start(Limits { drain: FOR_EVER, ..limits() }).await;
    server.shutdown.drain.cancel();
    until_not_ready(&server).await;
    assert!(server.post("/nowhere", "x").await.closes());
    assert!(server.post("/mutate", "panic").await.closes());
    server.shutdown.abort.cancel();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_draining_server_is_not_ready_at_once() {
    let server = TestServer::start(Limits { drain: FOR_EVER, ..limits() }).await;
    assert_eq!(server.get_admin("/readyz").await.status, 200);
    server.shutdown.drain.cancel();
    until_not_ready(&server).await;
    assert_eq!(server.get_admin("/readyz").await.body, "the server is draining");
    assert_eq!(server.get_admin("/livez").await.status, 200);
    server.shutdown.abort.cancel();
    server.ended().await.unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_stop() {
    let server = TestServer::start(Limits { grace: FOR_EVER, handshake: FOR_EVER, ..limits() }).await;
    let mut idle = server.connect().await;
    idle.post("/mutate", "x").await.unwrap();
    let unused = server.connect().await;
    let half_open = TcpStream::connect(server.address).await.unwrap();
    server.has_metric("connections_open 3").await;
    server.stop().await;
    idle.end().await;
    drop((unused, half_open));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered() {
    let server = TestServer::start(Limits { grace: FOR_EVER, ..limits() }).await;
    let mut client = server.connect().await;
    let waiting = tokio::spawn(async move { client.post("/mutate", "wait").await.unwrap() });
    server.handler.entered().await;
    server.shutdown.drain.cancel();
    until_refused(&server).await;
    server.handler.release();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "waited"));
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_body_in_flight_is_read() {
    let server = TestServer::start(Limits { grace: FOR_EVER, ..limits() }).await;
    let mut client = server.connect().await;
    let whole = request("/mutate", "in flight");
    let (sent, rest) = whole.split_at(whole.len() - 6);
    client.send(sent).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    server.shutdown.drain.cancel();
    until_refused(&server).await;
    client.send(rest).await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.closes()), ("/mutate in flight", true));
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_finishes_is_closed_after_the_grace_period() {
    let grace = Duration::from_millis(100);
    let server = TestServer::start(Limits { grace, body: FOR_EVER, ..limits() }).await;
    let mut client = server.connect().await;
    client.send(request("/mutate", "never").trim_end_matches("never")).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    let started = Instant::now();
    server.shutdown.drain.cancel();
    client.end().await;
    assert!(started.elapsed() >= grace);
    server.ended().await.unwrap();
}

#[tokio::test]
async fn an_abort_closes_every_connection_at_once() {
    let server =
        TestServer::start(Limits { drain: FOR_EVER, grace: FOR_EVER, body: FOR_EVER, ..limits() }).await;
    let mut client = server.connect().await;
    client.send(request("/mutate", "never").trim_end_matches("never")).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    server.shutdown.drain.cancel();
    until_not_ready(&server).await;
    server.shutdown.abort.cancel();
    server.ended().await.unwrap();
    client.end().await;
}

#[tokio::test]
async fn a_dropped_server_closes_its_connections_and_ports() {
    let mut server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    client.post("/mutate", "x").await.unwrap();
    server.drop_run().await;
    client.end().await;
    until_refused(&server).await;
}

async fn until_not_ready(server: &TestServer) {
    soon(async { while server.get_admin("/readyz").await.status != 503 {} }).await;
}

async fn until_refused(server: &TestServer) {
    // Another test may listen on the port by now, with a certificate of its own.
    soon(async { while Client::connect(server.address, &server.trust).await.is_ok() {} }).await;
}
