//! The chart's alerts fire on the metrics of a failing server and resolve after it recovers. Prometheus' promtool
//! evaluates them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::course::{Alert, Course, POD};
use super::page::Page;
use lockstep_test_support::helm::NAMESPACE;
use lockstep_test_support::https::trusting;
use lockstep_test_support::reviews::{connect, review, serve};
use lockstep_test_support::serve::Serve;

/// Returns the labels that a scrape adds, and these.
fn scraped(more: &Value) -> Value {
    let mut labels = json!({"namespace": NAMESPACE, "service": "lockstep", "pod": POD});
    labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    labels
}

#[test]
fn alert_when_no_replica_answers() {
    let course = Course::default().up(true, 5).up(false, 10).up(true, 5);
    Alert::named("LockstepAbsent").says(json!({}), "No replica of Lockstep is up.").assert(
        &course,
        &[4, 6],
        &[7, 14],
        &[15],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_log_lines_are_dropped() {
    let mut serve = serve(&[]).await;
    let before = Page::of(&serve.admin).await;
    assert_eq!(before.value("lockstep_log_lines_dropped_total", &[]), 0.0);
    serve.break_log().await;
    connect(&serve).await.post("/validate", review().to_string()).await;
    let after = Page::with(&serve.admin, "lockstep_log_lines_dropped_total", &[], 1.0).await;
    let course = Course::default().then(&before, 5).then(&after, 20);
    Alert::named("LockstepLogIncomplete").says(json!({"pod": POD}), "lockstep-1 dropped log lines.").assert(
        &course,
        &[4],
        &[5, 18],
        &[19, 24],
    );
}

/// No request is known to make the handler panic, so the test sets the value of the exported series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_a_review_panics() {
    let name = "lockstep_handler_panics_total";
    let before = Page::of(&serve(&[]).await.admin).await;
    assert_eq!(before.value(name, &[]), 0.0);
    let mut after = before.clone();
    after.series.iter_mut().filter(|series| series.name() == name).for_each(|series| series.set(1.0));
    let course = Course::default().then(&before, 5).then(&after, 20);
    Alert::named("LockstepDefect")
        .says(json!({"pod": POD}), "lockstep-1 failed on a review because of a defect.")
        .assert(&course, &[4], &[5, 18], &[19, 24]);
}

const HOUR: Duration = Duration::from_secs(3600);

/// A certificate that expires after this time, and its key.
fn write_pair(folder: &Path, lifetime: Duration) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + now + lifetime;
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    certificate.pem()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_a_certificate_expires_soon_or_cannot_be_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), 2 * HOUR);
    let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("tls.crt"), path("tls.key"));
    let serve = serve(&["--tls-cert", &cert, "--tls-key", &key, "--tls-reload", "1"]).await;
    let failed = [("result", "failed")];
    let ending = Page::of(&serve.admin).await;
    let expiry = ending.value("lockstep_tls_certificate_expiry_timestamp_seconds", &[]);
    assert_eq!(ending.value("lockstep_tls_reloads_total", &failed), 0.0);
    std::fs::write(&cert, "half a certif").unwrap();
    let refused = Page::with(&serve.admin, "lockstep_tls_reloads_total", &failed, 1.0).await;
    let still = Page::with(&serve.admin, "lockstep_tls_reloads_total", &failed, 2.0).await;
    write_pair(folder.path(), 24 * 90 * HOUR);
    let renewed = Page::with(&serve.admin, "lockstep_tls_reloads_total", &[("result", "ok")], 1.0).await;
    assert!(renewed.value("lockstep_tls_certificate_expiry_timestamp_seconds", &[]) > expiry);

    let course = Course::from(expiry as u64 - 7200).then(&ending, 10).then(&renewed, 5);
    Alert::named("LockstepCertificateExpires")
        .says(scraped(&json!({})), "The certificate of lockstep-1 expires in 1h 55m 0s.")
        .assert(&course, &[4], &[5], &[10]);
    let course = Course::default().then(&ending, 5).then(&refused, 10).then(&still, 10).then(&renewed, 20);
    Alert::named("LockstepCertificateNotTaken")
        .says(json!({"pod": POD}), "lockstep-1 cannot load a changed certificate.")
        .assert(&course, &[5, 19], &[20, 28], &[29, 44]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_callers_reject_the_certificate() {
    let serve = serve(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let other = write_pair(folder.path(), HOUR);
    let refuse = async || {
        let stream = TcpStream::connect(&serve.webhook).await.unwrap();
        let connected = trusting(&other).connect(ServerName::try_from("localhost").unwrap(), stream).await;
        assert!(connected.is_err());
    };
    let (name, alert) = ("lockstep_tls_handshakes_failed_total", [("reason", "alert")]);
    let before = Page::of(&serve.admin).await;
    refuse().await;
    let once = Page::with(&serve.admin, name, &alert, 1.0).await;
    refuse().await;
    let twice = Page::with(&serve.admin, name, &alert, 2.0).await;
    let course = Course::default().then(&before, 3).then(&once, 4).then(&twice, 10);
    Alert::named("LockstepCertificateRefused")
        .says(json!({"pod": POD}), "Callers reject the certificate of lockstep-1.")
        .assert(&course, &[3, 7], &[8, 10], &[11, 16]);
}

/// Sends the head of a request and all of its body but the last byte, and keeps the connection.
async fn hold(serve: &Serve, bytes: usize) -> impl Sized {
    let stream = TcpStream::connect(&serve.webhook).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = trusting(&serve.ca_pem).connect(name, stream).await.unwrap();
    let head = format!(
        "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; bytes - 1]).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

/// Sends reviews while seven bodies of the largest size take so much of the memory budget that no other of this size fits, until
/// one is rejected. The server closes
/// connections whose body is too slow, so on a slow machine the bodies are sent again.
async fn overload(serve: &Serve) {
    const WHOLE: usize = 8 << 20;
    for _ in 0..10 {
        let _held = join_all((0..7).map(|_| hold(serve, WHOLE))).await;
        // The server may not have read the bodies yet.
        for _ in 0..100 {
            if connect(serve).await.post("/validate", vec![b' '; WHOLE]).await.status == 503 {
                return;
            }
        }
    }
    panic!("no review was rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_when_requests_are_shed() {
    let serve = serve(&[]).await;
    let before = Page::of(&serve.admin).await;
    let (name, memory) = ("lockstep_requests_refused_total", [("reason", "memory")]);
    let mut pages = Vec::new();
    for refused in [1.0, 2.0] {
        overload(&serve).await;
        pages.push(Page::with(&serve.admin, name, &memory, refused).await);
    }
    let course = Course::default().then(&before, 3).then(&pages[0], 4).then(&pages[1], 10);
    Alert::named("LockstepRefusesForLoad")
        .says(json!({"pod": POD, "reason": "memory"}), "lockstep-1 rejects reviews because of load: memory.")
        .assert(&course, &[3, 7], &[8, 10], &[11, 16]);
}
