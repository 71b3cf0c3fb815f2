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
async fn a_rejected_body_is_discarded_inside_its_slot() {
    let limits = Limits { reviews: 1, body: Duration::from_secs(3600), ..limits() };
    let server = TestServer::start(limits).await;
    let mut slow = server.connect().await;
    let whole = request("/nowhere", "never");
    slow.send(whole.trim_end_matches("never")).await.unwrap();
    server.has_metric("requests_refused_total{reason=\"not_found\"} 1").await;
    assert_eq!(server.post("/mutate", "x").await.status, 503);
    slow.send("never").await.unwrap();
    assert_eq!(slow.answer().await.unwrap().status, 404);
    assert_eq!(server.post("/mutate", "x").await.status, 200);
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
    assert_eq!((answer.status, answer.body.as_str()), (408, "the request body did not arrive within 100ms"));
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
async fn request_bodies_share_one_limit() {
    let server = TestServer::start(Limits { body_bytes: 1000, buffered_bytes: 1500, ..limits() }).await;
    let (mut slow, mut other) = (server.connect().await, server.connect().await);
    let body = "x".repeat(1000);
    let whole = request("/mutate", &body);
    slow.send(whole.split_at(whole.len() - 1).0).await.unwrap();
    server.has_metric("requests_in_flight 1").await;

    // The server may not have read the first body yet.
    let refused = loop {
        let answer = other.post("/mutate", &body).await.unwrap();
        if answer.status == 503 {
            break answer;
        }
    };
    assert_eq!(refused.body, "too many bytes of request bodies are in flight; retry after 1s");
    assert_eq!((refused.header("retry-after"), refused.closes()), (Some("1"), true));
    server.has_metric("requests_refused_total{reason=\"memory\"} 1").await;

    slow.send("x").await.unwrap();
    assert_eq!(slow.answer().await.unwrap().body, format!("/mutate {body}"));
    assert_eq!(server.post("/mutate", &body).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_announced_body_counts_only_as_it_arrives() {
    let server = TestServer::start(Limits { body_bytes: 1000, buffered_bytes: 1000, ..limits() }).await;
    let mut silent = server.connect().await;
    let body = "x".repeat(1000);
    let whole = request("/mutate", &body);
    silent.send(whole.split_at(whole.len() - 1000).0).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    assert_eq!(server.post("/mutate", &"y".repeat(1000)).await.status, 200);
    silent.send(&body).await.unwrap();
    assert_eq!(silent.answer().await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_over_the_limit_is_rejected_with_retry_after() {
    let server = TestServer::start(Limits { reviews: 1, ..limits() }).await;
    let mut first = server.connect().await;
    let waiting = tokio::spawn(async move { first.post("/mutate", "wait").await.unwrap() });
    server.handler.entered().await;

    let shed = server.post("/mutate", "x").await;
    assert_eq!((shed.status, shed.header("retry-after"), shed.closes()), (503, Some("1"), true));
    assert_eq!(shed.body, "too many reviews are in flight; retry after 1s");
    server.has_metric("requests_refused_total{reason=\"busy\"} 1").await;

    server.handler.release();
    assert_eq!(waiting.await.unwrap().body, "waited");
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    server.stop().await;
}
