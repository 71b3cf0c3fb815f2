//! The admin port: probes and metrics.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::client::{Client, connect_from};
use super::test_server::{TestServer, limits};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[tokio::test]
async fn livez_answers_ok() {
    let server = TestServer::start(limits()).await;
    let answer = server.get_admin("/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_with_idle_connections_does_not_delay_a_probe() {
    let server = TestServer::start(limits()).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(connect_from(Ipv4Addr::new(127, 0, 0, 2), server.admin).await.unwrap());
    }
    let started = Instant::now();
    assert_eq!(server.get_admin("/livez").await.status, 200);
    // Without sharing, the probe waited until an idle connection timed out, after 10s.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn readyz_reports_the_readiness_of_the_program() {
    let server = TestServer::start(limits()).await;
    assert_eq!(server.get_admin("/readyz").await.status, 200);
    let _ = server.readiness.send_replace(Err("the nodes have not been listed yet".to_owned()));
    let answer = server.get_admin("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "the nodes have not been listed yet"));
    assert_eq!(server.get_admin("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_in_the_format_that_the_client_asks_for_and_in_the_text_format_by_default() {
    let server = TestServer::start(limits()).await;
    for (accept, content_type, kind, end) in [
        (
            "accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3\r\n",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE requests_refused counter\n",
            "# EOF\n",
        ),
        ("accept: */*\r\n", TEXT, "# TYPE requests_refused_total counter\n", "\n"),
        ("", TEXT, "# TYPE requests_refused_total counter\n", "\n"),
    ] {
        let mut client = Client::over(TcpStream::connect(server.admin).await.unwrap());
        client.send(&format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{accept}\r\n")).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.header("content-type"), Some(content_type), "{accept}");
        for line in [kind, "requests_refused_total{reason=\"busy\"} 0\n"] {
            assert!(answer.body.contains(line), "{accept}: {}", answer.body);
        }
        assert!(answer.body.ends_with(end) && answer.body.contains("# EOF") == (end != "\n"), "{accept}");
    }
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_rejected() {
    let server = TestServer::start(limits()).await;
    let mut client = Client::over(TcpStream::connect(server.admin).await.unwrap());
    assert_eq!(client.get("/mutate").await.unwrap().status, 404);
    assert_eq!(client.post("/livez", "x").await.unwrap().status, 405);
    server.stop().await;
}
