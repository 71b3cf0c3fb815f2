//! Places, bytes and threads are shared by peer: whatever one stranger does, the API server gets its answer.
//!
//! The API server calls from 127.0.0.1, strangers call from other addresses of the loopback network.

use std::net::Ipv4Addr;
use std::time::Duration;

use http_body_util::{Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockstep::server::Limits;

use super::client::{connect_from, handshake_from, request, soon};
use super::test_server::{TestServer, limits};

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LONG: Duration = Duration::from_secs(3600);

/// Asserts that the API server is answered over a new connection.
async fn assert_answers(server: &TestServer) {
    assert_eq!(server.post("/mutate", "x").await.body, "/mutate x");
}

#[tokio::test]
async fn connections_that_never_begin_a_handshake_leave_a_place() {
    let server = TestServer::start(Limits { connections: 16, handshake: LONG, ..limits() }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(connect_from(STRANGER, server.address).await.unwrap());
    }
    assert_answers(&server).await;
    server.has_metric("connections_evicted_total{reason=\"places\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn connections_that_shake_hands_and_say_nothing_leave_a_place() {
    let server =
        TestServer::start(Limits { connections: 16, first_request: LONG, idle: LONG, ..limits() }).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(server.connect_from(STRANGER).await);
    }
    let mut api_server = server.connect().await;
    assert_eq!(api_server.post("/mutate", "x").await.unwrap().status, 200);
    // One of them has lost its place, and the API server keeps its own.
    futures::future::select_all(silent.iter_mut().map(|connection| Box::pin(connection.end()))).await;
    drop(connect_from(STRANGER, server.address).await);
    assert_eq!(api_server.post("/mutate", "y").await.unwrap().body, "/mutate y");
    server.stop().await;
}

#[tokio::test]
async fn http2_requests_whose_bodies_never_come_leave_room() {
    let requests = 64;
    let buffered_bytes = 1000 + requests * Limits::REQUEST_BYTES;
    let (body, body_start) = (LONG, LONG);
    let server =
        TestServer::start(Limits { body_bytes: 1000, buffered_bytes, body, body_start, ..limits() }).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        let config = server.trust.config("h2", rustls::ALL_VERSIONS);
        let stream = handshake_from(STRANGER, server.address, config).await.unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..16 {
            let body = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
            let post = Request::post(format!("https://{}/mutate", server.address))
                .header("content-type", "application/json")
                .body(body)
                .unwrap();
            let mut sender = sender.clone();
            connections.push(tokio::spawn(async move { sender.send_request(post).await }));
        }
    }
    // Those without room are answered, and hold nothing.
    server.has_metric(&format!("requests_in_flight {requests}")).await;
    assert_answers(&server).await;
    server.has_metric("connections_evicted_total{reason=\"bytes\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn the_peer_with_the_most_bytes_loses_its_connection_and_not_the_api_server_its_review() {
    let buffered_bytes = 3000 + 2 * Limits::REQUEST_BYTES;
    let (body, body_start) = (LONG, LONG);
    let server =
        TestServer::start(Limits { body_bytes: 3000, buffered_bytes, body, body_start, ..limits() }).await;
    let large = "x".repeat(3000);
    let whole = request("/mutate", &large);
    let mut stranger = server.connect_from(STRANGER).await;
    stranger.send(whole.split_at(whole.len() - 1).0).await.unwrap();
    server.has_metric("requests_in_flight 1").await;
    // A second one of the stranger is refused, once the first one was read.
    let mut second = server.connect_from(STRANGER).await;
    let refused = loop {
        let answer = second.post("/mutate", &large).await.unwrap();
        if answer.status == 503 {
            break answer;
        }
    };
    assert_eq!(refused.body, "too many bytes of requests and answers are in flight; retry after 1s");
    assert_eq!((refused.header("retry-after"), refused.closes()), (Some("1"), true));
    server.has_metric("requests_refused_total{reason=\"memory\"} 1").await;

    assert_eq!(server.post("/mutate", &large[..2000]).await.status, 200);
    server.has_metric("connections_evicted_total{reason=\"bytes\"} 1").await;
    stranger.end().await;
    server.has_metric("requests_in_flight 0").await;
    server.stop().await;
}

#[tokio::test]
async fn an_http2_client_that_leaves_an_answer_unread_is_disconnected() {
    let server = TestServer::start(Limits { unread: Duration::from_millis(100), ..limits() }).await;
    let config = server.trust.config("h2", rustls::ALL_VERSIONS);
    let stream = handshake_from(STRANGER, server.address, config).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let post = Request::post(format!("https://{}/mutate", server.address))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(b"x")))
        .unwrap();
    let answer = soon(sender.send_request(post)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let _ = soon(connection).await.unwrap();
    server.has_metric("connections_evicted_total{reason=\"unread\"} 1").await;
    server.has_metric("connections_open 0").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_reviews_of_a_stranger_delay_no_light_one_and_wait_in_bounded_number() {
    let server = TestServer::start(Limits { heavy_waiting: 1, ..limits() }).await;
    let mut running = server.connect_from(STRANGER).await;
    running.send(&request("/mutate", "heavy wait")).await.unwrap();
    server.handler.entered().await;
    let mut waiting = server.connect_from(STRANGER).await;
    waiting.send(&request("/mutate", "heavy 2")).await.unwrap();
    server.has_metric("requests_in_flight 2").await;

    // The second one may not wait yet. If this one takes its place in the queue, that one is refused.
    let mut further = server.connect_from(STRANGER).await;
    further.send(&request("/mutate", "heavy 3")).await.unwrap();
    server.has_metric("requests_refused_total{reason=\"busy\"} 1").await;
    assert_answers(&server).await;
    let mut api_server = server.connect().await;
    api_server.send(&request("/mutate", "heavy 4")).await.unwrap();
    server.has_metric("requests_in_flight 3").await;

    server.handler.release();
    assert_eq!(running.answer().await.unwrap().body, "waited");
    assert_eq!(api_server.answer().await.unwrap().body, "/mutate heavy 4");
    let (second, third) = (waiting.answer().await.unwrap(), further.answer().await.unwrap());
    let (answered, refused) = if second.status == 200 { (second, third) } else { (third, second) };
    assert_eq!((answered.status, refused.status), (200, 503));
    assert_eq!(refused.body, "too many large reviews wait; retry after 1s");
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_the_light_limit_is_judged_as_a_heavy_one_and_a_panic_there_is_answered() {
    let server = TestServer::start(Limits { light_bytes: 10, ..limits() }).await;
    assert_eq!(server.post("/mutate", "12345678901").await.body, "/mutate 12345678901");
    assert_eq!(server.post("/mutate", "heavy panic").await.status, 500);
    server.has_metric("handler_panics_total 1").await;
    assert_answers(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_by_knowledge_that_lags_behind_is_judged_again_by_what_is_newer() {
    let server = TestServer::start(limits()).await;
    let answer = async {
        let answer = server.post("/validate", "behind").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "/validate behind"));
    };
    let learn = async {
        server.handler.entered().await;
        // Another review is answered meanwhile.
        assert_eq!(server.post("/validate", "other").await.status, 200);
        server.handler.learn();
    };
    tokio::join!(answer, learn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_whose_knowledge_stays_behind_is_answered_all_the_same() {
    let server = TestServer::start(limits()).await;
    let answer = server.post("/validate", "behind").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "/validate behind"));
}
