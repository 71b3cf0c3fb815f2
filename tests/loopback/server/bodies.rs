//! Bodies that are too large, too slow, too many or broken.

use std::time::Duration;

use lockstep::server::Limits;

use super::client::{request, soon};
use super::rig::{Rig, limits};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_announced_body_over_the_limit_is_rejected() {
    let rig = Rig::start(limits()).await;
    let answer = rig.post("/mutate", &"x".repeat(16 * MIB)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.body, "the request body is larger than the limit of 8388608 bytes");
    assert!(answer.closes());
    assert_eq!(rig.post("/mutate", "x").await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_rejected_body_is_discarded_up_to_the_limit_and_no_further() {
    let limits = Limits { body_bytes: MIB, body: Duration::from_secs(3600), ..limits() };
    let rig = Rig::start(limits).await;
    let mut client = rig.connect().await;
    let whole = request("/nowhere", &"x".repeat(64 * MIB));
    let sent = soon(async { client.send(&whole[..whole.len() - 1]).await }).await;
    // The server closed the connection although the body had not ended and its deadline was far away.
    assert!(sent.is_err() || client.answer().await.is_ok_and(|answer| answer.status == 404));
    client.end().await;
    rig.shows("requests_in_flight 0").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_rejected_body_is_discarded_inside_its_slot() {
    let limits = Limits { reviews: 1, body: Duration::from_secs(3600), ..limits() };
    let rig = Rig::start(limits).await;
    let mut slow = rig.connect().await;
    let whole = request("/nowhere", "never");
    slow.send(whole.trim_end_matches("never")).await.unwrap();
    rig.shows("requests_refused_total{reason=\"not_found\"} 1").await;
    assert_eq!(rig.post("/mutate", "x").await.status, 503);
    slow.send("never").await.unwrap();
    assert_eq!(slow.answer().await.unwrap().status, 404);
    assert_eq!(rig.post("/mutate", "x").await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_refused_body_that_never_comes_is_not_waited_for() {
    let rig = Rig::start(Limits { body: Duration::from_millis(100), ..limits() }).await;
    let mut client = rig.connect().await;
    client.send(request("/elsewhere", "never").trim_end_matches("never")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 404);
    client.end().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_chunked_body_over_the_cap_is_refused() {
    let rig = Rig::start(Limits { body_bytes: 10, ..limits() }).await;
    let mut client = rig.connect().await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{head}6\r\n123456\r\n6\r\n789012\r\n0\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 413);
    rig.stop().await;
}

#[tokio::test]
async fn a_chunked_body_within_the_cap_is_read() {
    let rig = Rig::start(limits()).await;
    let mut client = rig.connect().await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{head}3\r\n123\r\n2\r\n45\r\n0\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().body, "/mutate 12345");
    rig.stop().await;
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let rig = Rig::start(limits()).await;
    let body = "0123456789abcdef".repeat(7 * MIB / 16);
    let answer = rig.post("/validate", &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == format!("/validate {body}"));
    rig.stop().await;
}

#[tokio::test]
async fn a_body_slower_than_its_deadline_is_refused() {
    let rig = Rig::start(Limits { body: Duration::from_millis(100), ..limits() }).await;
    let mut client = rig.connect().await;
    let whole = request("/mutate", "never comes");
    client.send(whole.strip_suffix("comes").unwrap()).await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (408, "the request body did not arrive within 100ms"));
    assert!(answer.closes());
    client.end().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody() {
    let rig = Rig::start(limits()).await;
    let mut client = rig.connect().await;
    client.send(request("/mutate", "panic").strip_suffix("nic").unwrap()).await.unwrap();
    drop(client);
    rig.shows("connections_open 0").await;
    assert!(rig.metrics().contains("handler_panics_total 0"));
    assert_eq!(rig.post("/mutate", "x").await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn bodies_of_many_share_one_budget() {
    let rig = Rig::start(Limits { body_bytes: 1000, buffered_bytes: 1500, ..limits() }).await;
    let (mut slow, mut other) = (rig.connect().await, rig.connect().await);
    let body = "x".repeat(1000);
    let whole = request("/mutate", &body);
    slow.send(whole.split_at(whole.len() - 1).0).await.unwrap();
    rig.shows("requests_in_flight 1").await;

    // The first body may still be on its way into the budget.
    let refused = loop {
        let answer = other.post("/mutate", &body).await.unwrap();
        if answer.status == 503 {
            break answer;
        }
    };
    assert_eq!(refused.body, "too many bytes of request bodies are in flight; retry after 1s");
    assert_eq!((refused.header("retry-after"), refused.closes()), (Some("1"), true));
    rig.shows("requests_refused_total{reason=\"memory\"} 1").await;

    slow.send("x").await.unwrap();
    assert_eq!(slow.answer().await.unwrap().body, format!("/mutate {body}"));
    assert_eq!(rig.post("/mutate", &body).await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn an_announced_body_costs_nothing_before_it_arrives() {
    let rig = Rig::start(Limits { body_bytes: 1000, buffered_bytes: 1000, ..limits() }).await;
    let mut silent = rig.connect().await;
    let body = "x".repeat(1000);
    let whole = request("/mutate", &body);
    silent.send(whole.split_at(whole.len() - 1000).0).await.unwrap();
    rig.shows("requests_in_flight 1").await;
    assert_eq!(rig.post("/mutate", &"y".repeat(1000)).await.status, 200);
    silent.send(&body).await.unwrap();
    assert_eq!(silent.answer().await.unwrap().status, 200);
    rig.stop().await;
}
