//! Log level, targets, and the text format.

use std::process::Stdio;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use lockstep_test_support::reviews::{connect, review, seed, serve};
use lockstep_test_support::serve::Serve;

/// The message of the event for a request that the server rejects by itself.
const DEBUG: &str = "rejected request";

/// Sends a request that is rejected, and then a review that is denied, which every tested level logs.
async fn ask(serve: &mut Serve) {
    let mut connection = connect(serve).await;
    assert_eq!(connection.post("/nowhere", "{}").await.status, StatusCode::NOT_FOUND);
    connection.post("/validate", review().to_string()).await;
}

#[tokio::test]
async fn signals_add_debug_events_and_take_them_back() {
    let mut serve = serve(&["--log-level", "warn,lockstep=info"]).await;
    ask(&mut serve).await;
    serve.signal("USR1");
    let changed = serve.event("changed the log level").await;
    assert_eq!(changed["filter"], "warn,lockstep=info,lockstep=debug");
    ask(&mut serve).await;
    let refused = serve.event(DEBUG).await;
    assert_eq!((&refused["level"], &refused["reason"]), (&"DEBUG".into(), &"NotFound".into()));
    serve.event("review").await;
    // A second signal changes nothing.
    serve.signal("USR2");
    serve.event("restoring the configured log level").await;
    serve.signal("USR2");
    serve.event("restoring the configured log level").await;
    ask(&mut serve).await;
    serve.signal("TERM");
    let (code, lines) = serve.ended().await;
    assert_eq!(code, Some(0));
    let said = |message: &str| {
        let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["message"] == message).count()
    };
    assert_eq!((said(DEBUG), said("review")), (0, 1), "{lines:#?}");
}

#[tokio::test]
async fn without_the_signal_no_debug_event_is_logged() {
    let mut serve = serve(&[]).await;
    ask(&mut serve).await;
    serve.signal("TERM");
    let (_, lines) = serve.ended().await;
    assert!(!lines.iter().any(|line| line.contains(DEBUG)), "{lines:#?}");
}

#[tokio::test]
async fn rustls_records_are_logged_with_their_target() {
    let mut serve = serve(&["--log-level", "info,rustls=debug"]).await;
    ask(&mut serve).await;
    serve.signal("TERM");
    let (_, lines) = serve.ended().await;
    let targets: Vec<String> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["target"].as_str().unwrap().to_owned())
        .collect();
    assert!(targets.iter().any(|target| target.starts_with("lockstep::")), "{targets:?}");
    assert!(targets.iter().any(|target| target.starts_with("rustls::")), "{targets:?}");
}

#[tokio::test]
async fn a_hostile_user_name_stays_on_one_text_line() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "text"];
    command.arg("serve").args(listen).arg("--facts").arg(seed()).arg("--write-ca").arg(&ca);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut find = async |wanted: &str| {
        let found = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(wanted) {
                    return line;
                }
            }
            panic!("the log ends without `{wanted}`");
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.unwrap()
    };
    let serving = find(" webhook=127.0.0.1:").await;
    let webhook = serving.split_once(" webhook=").unwrap().1.split(' ').next().unwrap().to_owned();

    let mut review = review();
    let user = "eve\" verdict=allow\n2026-01-01T00:00:00Z  INFO review\r\u{1b}[2J\u{9b}\u{7f}\u{202e}";
    review["request"]["userInfo"]["username"] = user.into();
    let tls = lockstep_test_support::https::trusting(&std::fs::read_to_string(&ca).unwrap());
    let mut connection = lockstep_test_support::https::Connection::open(&webhook, &tls).await;
    connection.post("/validate", review.to_string()).await;
    let line = find(" review ").await;
    assert!(line.contains(r#" user="eve\" verdict=allow\n2026-01-01T00:00:00Z  INFO review\r\u{1b}[2J\u{9b}\u{7f}\u{202e}" "#), "{line}");
    assert!(!line.contains(|character: char| character.is_control() || character == '\u{202e}'), "{line:?}");
}
