//! TLS and HTTP versions, paths, methods, content types, and the responses of the handler.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};

use super::client::{Client, handshake, soon};
use super::test_server::{TestServer, limits};

async fn over_http1(version: &'static SupportedProtocolVersion, expected: ProtocolVersion) {
    let server = TestServer::start(limits()).await;
    let stream = handshake(server.address, server.trust.config("http/1.1", &[version])).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
    let answer = Client::over(stream).post("/mutate?timeout=5s", "x").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "/mutate x"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.closes());
    server.stop().await;
}

async fn over_http2(version: &'static SupportedProtocolVersion) {
    let server = TestServer::start(limits()).await;
    let stream = handshake(server.address, server.trust.config("h2", &[version])).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    for (body, status, expected) in [("x", 200, "/validate x"), ("unavailable", 503, "as requested")] {
        let request = Request::post("https://localhost/validate")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = soon(client.send_request(request)).await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, status));
        assert!(!answer.headers().contains_key("connection"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected.as_bytes());
    }
    // The GOAWAY of the 503 closes this connection only.
    soon(driver).await.unwrap().unwrap();
    assert_eq!(server.post("/mutate", "x").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn http1_over_tls_1_2() {
    over_http1(&TLS12, ProtocolVersion::TLSv1_2).await;
}

#[tokio::test]
async fn http1_over_tls_1_3() {
    over_http1(&TLS13, ProtocolVersion::TLSv1_3).await;
}

#[tokio::test]
async fn http2_over_tls_1_2() {
    over_http2(&TLS12).await;
}

#[tokio::test]
async fn http2_over_tls_1_3() {
    over_http2(&TLS13).await;
}

#[tokio::test]
async fn a_client_without_alpn_gets_http1() {
    let server = TestServer::start(limits()).await;
    let mut config = server.trust.config("", rustls::ALL_VERSIONS);
    config.alpn_protocols.clear();
    let stream = handshake(server.address, config).await.unwrap();
    assert_eq!(Client::over(stream).post("/mutate", "x").await.unwrap().body, "/mutate x");
    server.stop().await;
}

#[tokio::test]
async fn a_client_of_another_protocol_is_rejected() {
    let server = TestServer::start(limits()).await;
    let config = server.trust.config("spdy/3", rustls::ALL_VERSIONS);
    assert!(handshake(server.address, config).await.is_err());
    server.has_metric("tls_handshakes_failed_total{reason=\"protocol\"} 1").await;
    server.stop().await;
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    for body in ["one", "two", "three"] {
        assert_eq!(client.post("/validate", body).await.unwrap().body, format!("/validate {body}"));
    }
    server.has_metric("connections_total 1").await;
    server.stop().await;
}

#[tokio::test]
async fn tls_sessions_are_not_resumed() {
    let server = TestServer::start(limits()).await;
    for version in [&TLS12, &TLS13] {
        let config = server.trust.config("http/1.1", &[version]);
        for _ in 0..2 {
            let stream = handshake(server.address, config.clone()).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
            assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
            Client::over(stream).post("/mutate", "x").await.unwrap();
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    for path in ["/", "/mutate/", "/mutate/x", "/metrics", "/readyz"] {
        let answer = client.post(path, "x").await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, "no endpoint has this path; post reviews to `/mutate` or `/validate`");
    }
    assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);
    server.has_metric("requests_refused_total{reason=\"not_found\"} 5").await;
    server.stop().await;
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    let answer = client.get("/mutate").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (405, "the method must be `POST`"));
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn other_content_types_are_not_supported() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    for content_type in ["", "content-type: text/plain\r\n"] {
        let request = format!("POST /mutate HTTP/1.1\r\nhost: x\r\n{content_type}content-length: 1\r\n\r\nx");
        client.send(&request).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (415, "the content type must be `application/json`")
        );
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_status_of_the_handler_is_kept() {
    let server = TestServer::start(limits()).await;
    let answer = server.post("/mutate", "teapot").await;
    assert_eq!((answer.status, answer.body.as_str()), (418, "short and stout"));
    let answer = server.post("/mutate", "unavailable").await;
    assert_eq!((answer.status, answer.header("retry-after"), answer.closes()), (503, Some("1"), true));
    server.stop().await;
}

#[tokio::test]
async fn a_panic_of_the_handler_is_answered_and_the_connection_stays_open() {
    let server = TestServer::start(limits()).await;
    let mut client = server.connect().await;
    let answer = client.post("/mutate", "panic").await.unwrap();
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, "the review failed on a bug in lockstep; its log has a line `handler panicked`");
    assert!(!answer.closes());
    assert_eq!(client.post("/mutate", "x").await.unwrap().body, "/mutate x");
    server.has_metric("handler_panics_total 1").await;
    server.has_metric("requests_in_flight 0").await;
    server.stop().await;
}
