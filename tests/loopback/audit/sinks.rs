//! A sink that cannot be written neither delays nor changes a verdict.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use lockstep_test_support::decision_log::{assert_whole, lines, reviews, verify};
use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook::metric;

/// The time limit of a verdict. One that waited for the sink would never end.
const PATIENCE: Duration = Duration::from_secs(5);

/// An edit with the largest record that a user can cause.
fn large(number: usize) -> String {
    let mut review = review();
    let request = &mut review["request"];
    request["uid"] = format!("uid-{number}").into();
    request["userInfo"]["groups"] = vec!["\u{1}".repeat(512); 32].into();
    review.to_string()
}

async fn post(connection: &mut Connection, number: usize) -> Value {
    let start = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, connection.post("/mutate", large(number))).await;
    let answer = response(&answer.expect("a verdict waits for the decision log"));
    assert!(start.elapsed() < PATIENCE);
    assert_eq!((&answer["allowed"], &answer["patchType"]), (&json!(true), &json!("JSONPatch")));
    answer
}

/// Posts until records are dropped. Returns the number of posts.
async fn until_dropped(serve: &Serve) -> usize {
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    let mut posted = 0;
    while metric(&serve.admin, "lockstep_audit_records_dropped_total").await == 0 {
        for _ in 0..20 {
            post(&mut connection, posted).await;
            posted += 1;
        }
        assert!(posted < 2000, "no record was dropped");
    }
    posted
}

fn arguments<'a>(facts: &'a Path, log: &'a str) -> [&'a str; 6] {
    ["--facts", facts.to_str().unwrap(), "--drain", "0", "--audit-log", log]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_drops_records_and_delays_no_verdict() {
    let facts = seed();
    let mut serve = Serve::start(&arguments(&facts, "/dev/full"), None).await;
    let posted = until_dropped(&serve).await;
    assert!(metric(&serve.admin, "lockstep_audit_write_failures_total").await > 0);
    let (records, dropped) = (
        metric(&serve.admin, "lockstep_audit_records_total").await,
        metric(&serve.admin, "lockstep_audit_records_dropped_total").await,
    );
    assert_eq!(records + dropped, posted as u64);
    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_pipe_drops_records_and_the_log_reports_which() {
    let facts = seed();
    let mut serve = Serve::start_with_stdout(&arguments(&facts, "-"), None, Stdio::piped()).await;
    let posted = until_dropped(&serve).await;
    // From here on, the pipe is read.
    let mut pipe = serve.child.stdout.take().unwrap();
    let read = tokio::spawn(async move {
        let mut text = String::new();
        pipe.read_to_string(&mut text).await.unwrap();
        text
    });
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    serve.event("dropped records of the decision log: the queue was full or a record was too long").await;
    post(&mut connection, posted).await;
    let dropped = metric(&serve.admin, "lockstep_audit_records_dropped_total").await;
    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));
    let text = read.await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::fs::write(&path, &text).unwrap();
    let report = assert_whole(&[&path]);
    assert_eq!(report["dropped"], dropped);
    assert_eq!(report["records"].as_u64().unwrap() + dropped, posted as u64 + 1);
    let told: Vec<Value> = lines(&text).into_iter().filter(|line| line["event"] == "dropped").collect();
    assert_eq!(told.iter().map(|line| line["count"].as_u64().unwrap()).sum::<u64>(), dropped);
    let last = reviews(&text).pop().unwrap();
    assert_eq!(last["uid"], format!("uid-{posted}"));
}

#[tokio::test]
async fn files_rotate_and_a_chain_continues_after_a_killed_process() {
    let (facts, folder) = (seed(), tempfile::tempdir().unwrap());
    let path = folder.path().join("audit.log");
    let name = path.to_str().unwrap();
    let arguments = [
        &arguments(&facts, name)[..],
        &["--audit-log-size", "40000", "--audit-log-files", "20", "--replica", "one"],
    ]
    .concat();
    for is_killed in [true, false] {
        let mut serve = Serve::start(&arguments, None).await;
        let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
        let mut uid = json!(null);
        for number in 0..5 {
            uid = post(&mut connection, number).await["uid"].take();
        }
        if is_killed {
            let has_uid = |text: String| text.contains(uid.as_str().unwrap());
            let is_written = async || std::fs::read_to_string(&path).is_ok_and(has_uid);
            assert!(wait::until_so(is_written).await);
            serve.child.kill().await.unwrap();
        } else {
            serve.signal("TERM");
            assert_eq!(serve.ended().await.0, Some(0));
        }
    }
    let mut files: Vec<_> = (1..=20).map(|age| folder.path().join(format!("audit.log.{age}"))).collect();
    files.retain(|file| file.exists());
    assert!(files.len() > 2, "{files:?}");
    files.reverse();
    files.push(path);
    let files: Vec<&Path> = files.iter().map(std::path::PathBuf::as_path).collect();
    for file in &files {
        assert!(std::fs::metadata(file).unwrap().len() <= 120_000, "{}", file.display());
    }
    let report = assert_whole(&files);
    assert_eq!(report["records"], 10);
    let chains = report["chains"].as_array().unwrap();
    assert_eq!(chains.len(), 2, "{report:#}");
    assert!(chains.iter().all(|chain| chain["replica"] == "one"));
    assert_eq!(
        report["notes"].as_array().unwrap().len(),
        1,
        "the open end of the killed process: {report:#}"
    );
    // Files in the wrong order, and with one of them missing.
    assert_eq!(verify(&[], &[&files[1..], &files[..1]].concat()).0, 1);
    assert_eq!(verify(&[], &[&files[..1], &files[2..]].concat()).0, 1);
}
