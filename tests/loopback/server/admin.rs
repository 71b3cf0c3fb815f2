//! The admin port.

use tokio::net::TcpStream;

use super::client::Client;
use super::rig::{Rig, limits};

#[tokio::test]
async fn alive_says_ok() {
    let rig = Rig::start(limits()).await;
    let answer = rig.ask("/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    rig.stop().await;
}

#[tokio::test]
async fn readiness_is_the_callers() {
    let rig = Rig::start(limits()).await;
    assert_eq!(rig.ask("/readyz").await.status, 200);
    let _ = rig.readiness.send_replace(Err("the nodes have not been listed yet".to_owned()));
    let answer = rig.ask("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "the nodes have not been listed yet"));
    assert_eq!(rig.ask("/livez").await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn metrics_are_in_the_open_metrics_format() {
    let rig = Rig::start(limits()).await;
    let answer = rig.ask("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.body.contains("requests_refused_total{reason=\"busy\"} 0\n"), "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"));
    rig.stop().await;
}

#[tokio::test]
async fn nothing_else_is_there() {
    let rig = Rig::start(limits()).await;
    let mut client = Client::over(TcpStream::connect(rig.admin).await.unwrap());
    assert_eq!(client.get("/mutate").await.unwrap().status, 404);
    assert_eq!(client.post("/livez", "x").await.unwrap().status, 405);
    rig.stop().await;
}
