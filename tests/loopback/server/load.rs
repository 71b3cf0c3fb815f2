//! More than the server takes on, and defects of the handler.

use lockstep::server::Limits;

use super::rig::{Rig, limits};

#[tokio::test(flavor = "multi_thread")]
async fn a_review_over_the_cap_is_shed() {
    let rig = Rig::start(Limits { reviews: 1, ..limits() }).await;
    let mut first = rig.connect().await;
    let waiting = tokio::spawn(async move { first.post("/mutate", "wait").await.unwrap() });
    rig.toy.entered().await;

    let shed = rig.post("/mutate", "x").await;
    assert_eq!((shed.status, shed.header("retry-after"), shed.closes()), (503, Some("1"), true));
    assert_eq!(shed.body, "too many reviews are in flight; retry after 1s");
    rig.shows("requests_refused_total{reason=\"busy\"} 1").await;

    rig.toy.let_go();
    assert_eq!(waiting.await.unwrap().body, "waited");
    assert_eq!(rig.post("/mutate", "x").await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_lives_on() {
    let rig = Rig::start(limits()).await;
    let mut client = rig.connect().await;
    let answer = client.post("/mutate", "panic").await.unwrap();
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, "the review failed on a bug in lockstep; its log has a line `handler panicked`");
    assert!(!answer.closes());
    assert_eq!(client.post("/mutate", "x").await.unwrap().body, "/mutate x");
    rig.shows("handler_panics_total 1").await;
    rig.shows("requests_in_flight 0").await;
    rig.stop().await;
}
