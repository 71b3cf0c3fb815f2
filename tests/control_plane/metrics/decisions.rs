//! The alert on a decision log that cannot be written.

use std::process::Stdio;

use super::course::{Alert, Course, POD};
use super::page::Page;
use lockstep_test_support::reviews::{connect, of_somebody, review, seed};
use lockstep_test_support::serve::Serve;

const DROPPED: &str = "lockstep_audit_records_dropped_total";
const FAILURES: &str = "lockstep_audit_write_failures_total";

/// Starts a server whose decision log is a pipe.
async fn piped() -> (Serve, Page) {
    let seed = seed();
    let arguments = ["--facts", seed.to_str().unwrap(), "--drain", "0", "--audit-log", "-"];
    let serve = Serve::start_with_stdout(&arguments, None, Stdio::piped()).await;
    let before = Page::of(&serve.admin).await;
    assert_eq!((before.value(DROPPED, &[]), before.value(FAILURES, &[])), (0.0, 0.0));
    (serve, before)
}

/// Asserts that the alert fires at once, and keeps firing for the 15 minutes that it looks back.
fn assert_told(before: &Page, after: &Page) {
    let course = Course::default().then(before, 5).then(after, 20);
    Alert::named("LockstepDecisionLogNotWritten")
        .says(serde_json::json!({"pod": POD}), "lockstep-1 cannot write its decision log.")
        .assert(&course, &[4], &[5, 18], &[19, 24]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_the_decision_log_cannot_be_written() {
    let (mut serve, before) = piped().await;
    drop(serve.child.stdout.take());
    connect(&serve).await.post("/validate", review().to_string()).await;
    let after = Page::with(&serve.admin, FAILURES, &[], 1.0).await;
    assert_eq!(after.value(DROPPED, &[]), 0.0);
    assert_told(&before, &after);
}

/// The pipe is not read, so writes neither fail nor return.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_records_are_dropped() {
    let (serve, before) = piped().await;
    let mut connection = connect(&serve).await;
    let mut after = before.clone();
    for number in 0..2000 {
        let mut review = of_somebody(number, "istio-system");
        // The largest record that a user can cause.
        review["request"]["userInfo"]["groups"] = vec!["\u{1}".repeat(512); 32].into();
        connection.post("/validate", review.to_string()).await;
        if number % 20 == 0 {
            after = Page::of(&serve.admin).await;
        }
        if after.value(DROPPED, &[]) > 0.0 {
            break;
        }
    }
    assert!(after.value(DROPPED, &[]) > 0.0, "no record is dropped");
    assert_eq!(after.value(FAILURES, &[]), 0.0);
    assert_told(&before, &after);
}
