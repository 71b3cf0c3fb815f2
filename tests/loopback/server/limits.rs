//! Requests over a limit: bodies that are too large, too slow or incomplete, and too many at once.

use std::time::Duration;

use lockstep::server::Limits;

use super::client::{request, soon};
use super::test_server::{TestServer, limits};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_announced_body_over_the_limit_is_rejected() {
    let server = TestServer::start(limits()).await;
    let answer = server.post("/mutate", &"x".repeat(16 * MIB)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.body, "the request body is larger than the limit of 8388608 bytes");
    assert!(answer.closes());
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_body_is_discarded_up_to_the_limit_and_no_further() {
    let limits = Limits { body_bytes: MIB, body: Duration::from_secs(3600), ..limits() };
    let server = TestServer::start(limits).await;
    let mut client = server.connect().await;
    let whole = request("/nowhere", &"x".repeat(64 * MIB));
    let sent = soon(async { client.send(&whole[..whole.len() - 1]).await }).await;
    // The server closed the connection although the body had not ended and its deadline was far away.
    assert!(sent.is_err() || client.answer().await.is_ok_and(|answer| answer.status == 404));
    client.end().await;
    server.has_metric("requests_in_flight 0").await;
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_body_that_never_arrives_delays_the_response_by_its_deadline_only() {
    let server = TestServer::start(Limits { body: Duration::from_millis(100), ..limits() }).await;
    let mut client = server.connect().await;
    client.send(request("/elsewhere", "never").trim_end_matches("never")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 404);
    client.end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_rejected() {
    let server = TestServer::start(Limits { body_bytes: 10, ..limits() }).await;
    let mut client = server.connect().await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{head}6\r\n123456\r\n6\r\n789012\r\n0\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 413);
    server.stop().await;
}

#[tokio::test]
async fn a_chunked_body_within_the_limit_is_read() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{head}3\r\n123\r\n2\r\n45\r\n0\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().body, "/mutate 12345");
    server.stop().await;
}

#[tokio::test]
async fn a_large_body_is_read_whole() {
    let server = TestServer::start(limits()).await;
    let body = "0123456789abcdef".repeat(7 * MIB / 16);
    let answer = server.post("/validate", &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == format!("/validate {body}"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_slower_than_its_deadline_is_rejected() {
    let server = TestServer::start(Limits { body: Duration::from_millis(100), ..limits() }).await;
    let mut client = server.connect().await;
    let whole = request("/mutate", "never comes");
    client.send(whole.strip_suffix("comes").unwrap()).await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (408, "the request body did not arrive within 100ms or at 1048576 bytes a second")
    );
    assert!(answer.closes());
    client.end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_ends_early_does_not_reach_the_handler() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    client.send(request("/mutate", "panic").strip_suffix("nic").unwrap()).await.unwrap();
    drop(client);
    server.has_metric("connections_open 0").await;
    assert!(server.metrics().contains("handler_panics_total 0"));
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_announced_body_counts_only_as_it_arrives() {
    let buffered_bytes = 1000 + 2 * Limits::REQUEST_BYTES;
    let server = TestServer::start(Limits { body_bytes: 1000, buffered_bytes, ..limits() }).await;
    let mut silent = server.connect().await;
    let body = "x".repeat(1000);
    let whole = request("/mutate", &body);
    silent.send(whole.split_at(whole.len() - 1000).0).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    assert_eq!(server.post("/mutate", &"y".repeat(900)).await.status, 200);
    silent.send(&body).await.unwrap();
    assert_eq!(silent.answer().await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_rejected() {
    let limits =
        Limits { body_start: Duration::from_millis(100), body: Duration::from_secs(3600), ..limits() };
    let server = TestServer::start(limits).await;
    let mut client = server.connect().await;
    let whole = request("/mutate", &"x".repeat(MIB));
    client.send(&whole[..whole.len() - MIB + 1]).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 408);
    client.end().await;
    server.stop().await;
}
