//! The end of a server.

use std::time::{Duration, Instant};

use lockstep::server::Limits;
use tokio::net::TcpStream;

use super::client::{request, soon};
use super::rig::{Rig, limits};

/// Long enough for a few handshakes.
const DRAIN: Duration = Duration::from_millis(800);

/// So long that a test would fail on its patience.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn calls_are_served_while_the_server_drains() {
    let rig = Rig::start(Limits { drain: DRAIN, ..limits() }).await;
    let mut old = rig.connect().await;
    assert!(!old.post("/mutate", "x").await.unwrap().closes());
    let started = Instant::now();
    rig.shutdown.drain.cancel();

    let mut served = 0;
    while started.elapsed() < DRAIN / 2 {
        // The first of them may be answered before the wish is known.
        let answer = rig.post("/mutate", "x").await;
        assert_eq!(answer.status, 200);
        served += i32::from(answer.closes());
    }
    assert!(served > 1, "new connections are accepted, and their answers close them");
    assert!(old.post("/mutate", "y").await.unwrap().closes(), "so does the answer on an old one");
    old.end().await;

    let address = rig.address;
    rig.ended().await.unwrap();
    assert!(started.elapsed() >= DRAIN);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn errors_close_the_connection_too_while_the_server_drains() {
    let rig = Rig::start(Limits { drain: FOR_EVER, ..limits() }).await;
    rig.shutdown.drain.cancel();
    until_not_ready(&rig).await;
    assert!(rig.post("/nowhere", "x").await.closes());
    assert!(rig.post("/mutate", "panic").await.closes());
    rig.shutdown.abort.cancel();
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn readiness_turns_false_at_once() {
    let rig = Rig::start(Limits { drain: FOR_EVER, ..limits() }).await;
    assert_eq!(rig.ask("/readyz").await.status, 200);
    rig.shutdown.drain.cancel();
    until_not_ready(&rig).await;
    assert_eq!(rig.ask("/readyz").await.body, "the server is draining");
    assert_eq!(rig.ask("/livez").await.status, 200);
    rig.shutdown.abort.cancel();
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let rig = Rig::start(Limits { grace: FOR_EVER, handshake: FOR_EVER, ..limits() }).await;
    let mut idle = rig.connect().await;
    idle.post("/mutate", "x").await.unwrap();
    let unused = rig.connect().await;
    let half_open = TcpStream::connect(rig.address).await.unwrap();
    rig.shows("connections_open 3").await;
    rig.stop().await;
    idle.end().await;
    drop((unused, half_open));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_finishes() {
    let rig = Rig::start(Limits { grace: FOR_EVER, ..limits() }).await;
    let mut client = rig.connect().await;
    let waiting = tokio::spawn(async move { client.post("/mutate", "wait").await.unwrap() });
    rig.toy.entered().await;
    rig.shutdown.drain.cancel();
    until_refused(&rig).await;
    rig.toy.let_go();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "waited"));
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn a_body_in_flight_is_read_to_its_end() {
    let rig = Rig::start(Limits { grace: FOR_EVER, ..limits() }).await;
    let mut client = rig.connect().await;
    let whole = request("/mutate", "in flight");
    let (sent, rest) = whole.split_at(whole.len() - 6);
    client.send(sent).await.unwrap();
    rig.shows("requests_in_flight 1").await;
    rig.shutdown.drain.cancel();
    until_refused(&rig).await;
    client.send(rest).await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.closes()), ("/mutate in flight", true));
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_finishes_is_cut_after_the_grace() {
    let grace = Duration::from_millis(100);
    let rig = Rig::start(Limits { grace, body: FOR_EVER, ..limits() }).await;
    let mut client = rig.connect().await;
    client.send(request("/mutate", "never").trim_end_matches("never")).await.unwrap();
    rig.shows("requests_in_flight 1").await;
    let started = Instant::now();
    rig.shutdown.drain.cancel();
    client.end().await;
    assert!(started.elapsed() >= grace);
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let rig = Rig::start(Limits { drain: FOR_EVER, grace: FOR_EVER, body: FOR_EVER, ..limits() }).await;
    let mut client = rig.connect().await;
    client.send(request("/mutate", "never").trim_end_matches("never")).await.unwrap();
    rig.shows("requests_in_flight 1").await;
    rig.shutdown.drain.cancel();
    until_not_ready(&rig).await;
    rig.shutdown.abort.cancel();
    rig.ended().await.unwrap();
    client.end().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing_behind() {
    let mut rig = Rig::start(limits()).await;
    let mut client = rig.connect().await;
    client.post("/mutate", "x").await.unwrap();
    rig.drop_server().await;
    client.end().await;
    until_refused(&rig).await;
}

async fn until_not_ready(rig: &Rig) {
    soon(async { while rig.ask("/readyz").await.status != 503 {} }).await;
}

async fn until_refused(rig: &Rig) {
    soon(async { while TcpStream::connect(rig.address).await.is_ok() {} }).await;
}
