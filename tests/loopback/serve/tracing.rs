//! Traces: reviews become spans, and their ids are in the decision log and in the metrics.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use lockstep_test_support::collector::{Collector, Received, Reply};
use lockstep_test_support::decision_log::{assert_whole, audit, reviews};
use lockstep_test_support::https::{Connection, get};
use lockstep_test_support::reviews::{connect, response, review, review_elsewhere, serve};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook::metric;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Starts a server that exports to this collector, with further arguments.
async fn exporting(collector: &str, arguments: &[&str]) -> (Serve, Connection) {
    let serve = serve(&[&["--otlp-endpoint", collector], arguments].concat()).await;
    let connection = connect(&serve).await;
    (serve, connection)
}

fn url(collector: &Collector) -> String {
    format!("http://{}", collector.address)
}

/// Posts a review in a sampled trace, which must be answered as ever.
async fn post_sampled(connection: &mut Connection) {
    let answer = connection.post_in_trace("/mutate", &[SAMPLED], review().to_string()).await;
    assert_eq!(response(&answer)["allowed"], true);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Waits until the dropped spans with this reason are so many.
async fn until_dropped(serve: &Serve, reason: &str, count: u64) {
    let series = format!("lockstep_spans_dropped_total{{reason=\"{reason}\"}} {count}\n");
    wait::until(&serve.admin, "/metrics", |_, text| text.contains(&series)).await;
}

#[tokio::test]
async fn a_review_in_a_sampled_trace_is_a_span_with_its_verdict() {
    let mut collector = Collector::start().await;
    let (mut serve, mut connection) = exporting(&url(&collector), &["--replica", "pod-1"]).await;
    let answer = connection.post_in_trace("/validate", &[SAMPLED], review().to_string()).await;
    assert_eq!(response(&answer)["allowed"], false);
    assert_eq!(serve.event("review").await["trace_id"], TRACE);

    let [Received { resource, span, attributes }] = collector.spans().await.try_into().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected =
        [("service.name", "lockstep"), ("service.version", version), ("service.instance.id", "pod-1")];
    assert_eq!(resource, texts(expected));
    assert_eq!(
        (hex(&span.trace_id).as_str(), hex(&span.parent_span_id).as_str()),
        (TRACE, "00f067aa0ba902b7")
    );
    assert!(span.span_id.len() == 8 && span.span_id != [0; 8], "{span:?}");
    assert_eq!((span.name.as_str(), span.kind), ("POST /validate", 2), "a span of a server");
    assert_eq!(span.flags, 0x301, "sampled, with a parent elsewhere");
    assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano > span.start_time_unix_nano, "{span:?}");
    assert_eq!(span.status.unwrap().code, 0, "a denial is no error");
    let request = &review()["request"];
    let (uid, pod) = (request["uid"].as_str().unwrap(), request["name"].as_str().unwrap());
    let reason = attributes["lockstep.reason"].clone();
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/validate"),
        ("k8s.namespace.name", "istio-system"),
        ("k8s.pod.name", pod),
        ("lockstep.dry_run", "false"),
        ("lockstep.object.kind", "Pod"),
        ("lockstep.object.name", pod),
        ("lockstep.operation", "CREATE"),
        ("lockstep.reason", &reason),
        ("lockstep.review.uid", uid),
        ("lockstep.rule", "gateway-placement"),
        ("lockstep.topology", "istio-ingressgateway"),
        ("lockstep.verdict", "deny"),
        ("url.path", "/validate"),
        ("url.scheme", "https"),
    ];
    assert_eq!(attributes, texts(expected));
}

#[tokio::test]
async fn a_review_without_a_verdict_is_a_failed_span() {
    let mut collector = Collector::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "away",
        "clusters": [{"name": "away", "cluster": {"server": format!("http://{closed}")}}],
        "users": [{"name": "away", "user": {}}],
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let serve = Serve::start(&["--otlp-endpoint", &url(&collector)], Some(&kubeconfig)).await;
    let answer = connect(&serve).await.post_in_trace("/mutate", &[SAMPLED], review().to_string()).await;
    assert_eq!(answer.status, 503);
    let [Received { span, attributes, .. }] = collector.spans().await.try_into().unwrap();
    assert_eq!(span.status.unwrap().code, 2, "an error");
    let expected = [
        ("error.type", "503"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "503"),
        ("http.route", "/mutate"),
        ("url.path", "/mutate"),
        ("url.scheme", "https"),
    ];
    assert_eq!(attributes, texts(expected));
}

#[tokio::test]
async fn the_parent_decides_whether_a_review_is_a_span() {
    let mut collector = Collector::start().await;
    let (serve, mut connection) = exporting(&url(&collector), &[]).await;
    for traceparents in [&[][..], &[UNSAMPLED], &["00-nonsense-01"], &[SAMPLED, SAMPLED]] {
        let answer = connection.post_in_trace("/mutate", traceparents, review().to_string()).await;
        assert_eq!(response(&answer)["allowed"], true, "{traceparents:?}");
    }
    // A body that is no review has no verdict, and its span has none.
    let answer = connection.post_in_trace("/validate", &[SAMPLED], "{}").await;
    assert_eq!(answer.status, 400);
    let [Received { attributes, .. }] = collector.spans().await.try_into().unwrap();
    assert_eq!(
        (&*attributes["http.response.status_code"], attributes.get("lockstep.verdict")),
        ("400", None)
    );
    let exported = |_, text: &str| text.contains("lockstep_spans_exported_total 1\n");
    wait::until(&serve.admin, "/metrics", exported).await;
}

#[tokio::test]
async fn spans_that_wait_are_exported_before_the_process_exits() {
    let mut collector = Collector::start().await;
    let (mut serve, mut connection) = exporting(&url(&collector), &[]).await;
    // The second one waits, because there is at most one export a second.
    post_sampled(&mut connection).await;
    let mut spans = collector.spans().await;
    for _ in 0..2 {
        post_sampled(&mut connection).await;
    }
    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));
    while spans.len() < 3 {
        spans.extend(collector.spans().await);
    }
    assert_eq!(spans.len(), 3);
}

#[tokio::test]
async fn the_decision_log_and_exemplars_name_the_trace_without_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut serve = serve(&["--audit-log", path.to_str().unwrap(), "--audit-allowed"]).await;
    let mut connection = connect(&serve).await;
    let unreadable = || {
        let mut review = review();
        review["request"]["object"]["metadata"]["labels"] = "text".into();
        review
    };
    for (traceparent, review) in [
        (Some(SAMPLED), review()),
        (Some(UNSAMPLED), review_elsewhere()),
        (Some(SAMPLED), unreadable()),
        (Some("00-nonsense-01"), review()),
        (None, review()),
    ] {
        connection.post_in_trace("/validate", traceparent.as_slice(), review.to_string()).await;
    }
    let (_, metrics) = get(&serve.admin, "/metrics").await;
    let exemplars: Vec<&str> = metrics.lines().filter(|line| line.contains(" # {")).collect();
    let own = format!(" # {{trace_id=\"{TRACE}\"}} ");
    assert!(!exemplars.is_empty(), "{metrics}");
    for line in exemplars {
        let of_histogram = line.starts_with("lockstep_review_duration_seconds_bucket{");
        assert!(of_histogram && line.contains(&own), "only sampled traces are exemplars: {line}");
    }
    serve.signal("TERM");
    serve.ended().await;

    let records = reviews(&std::fs::read_to_string(&path).unwrap());
    let traces: Vec<&Value> = records.iter().map(|record| &record["traceId"]).collect();
    let unsampled = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(traces, [&json!(TRACE), &json!(unsampled), &json!(TRACE), &Value::Null, &Value::Null]);
    assert_whole(&[&path]);
    for (trace, found) in [(TRACE, 2), (unsampled, 1), (&"0".repeat(32), 0)] {
        assert_eq!(found_by_trace(trace, &path), found, "{trace}");
    }
}

fn found_by_trace(trace: &str, log: &Path) -> usize {
    let output = audit(&["query", "--trace-id", trace, "--format", "lines"], &[log]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().count()
}

#[tokio::test]
async fn a_collector_that_is_away_fails_no_review_and_is_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (mut serve, mut connection) = exporting(&format!("http://{closed}"), &[]).await;
    post_sampled(&mut connection).await;
    let warning = serve.event("spans are not exported").await;
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["error"], "the collector is not reached: Connection refused", "{warning}");
    post_sampled(&mut connection).await;
    let failed = |_, text: &str| {
        let failures =
            text.lines().find_map(|line| line.strip_prefix("lockstep_span_export_failures_total "));
        failures.is_some_and(|count| count.parse::<u64>().unwrap() >= 2)
    };
    wait::until(&serve.admin, "/metrics", failed).await;
    serve.signal("TERM");
    let (code, lines) = serve.ended().await;
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("spans are not exported")), "once: {lines:?}");
}

#[tokio::test]
async fn spans_of_anyone_are_exported_within_a_rate() {
    let mut collector = Collector::start().await;
    let (serve, mut connection) = exporting(&url(&collector), &[]).await;
    let (calls, start) = (2000, Instant::now());
    let review = review_elsewhere().to_string();
    for _ in 0..calls {
        connection.post_in_trace("/validate", &[SAMPLED], review.clone()).await;
    }
    let allowed = 1000 + (start.elapsed().as_millis() / 10) as u64 + 1;
    let limited = metric(&serve.admin, "lockstep_spans_dropped_total{reason=\"limited\"}").await;
    let mut exported = 0;
    while exported < calls - limited {
        exported += collector.spans().await.len() as u64;
    }
    assert!((1000..=allowed).contains(&exported) && exported + limited == calls, "{exported} and {limited}");
}

#[tokio::test]
async fn a_collector_that_does_not_answer_delays_no_exit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut serve, mut connection) =
        exporting(&format!("http://{}", silent.local_addr().unwrap()), &[]).await;
    post_sampled(&mut connection).await;
    let _connected = silent.accept().await.unwrap();
    post_sampled(&mut connection).await;
    let asked = Instant::now();
    serve.signal("TERM");
    let (code, lines) = serve.ended().await;
    assert_eq!(code, Some(0));
    // An export may take 10 s.
    assert!(asked.elapsed() < Duration::from_secs(8), "{lines:?}");
    let late = |line: &String| line.contains("exiting before the last spans were exported");
    assert!(lines.iter().any(late), "{lines:?}");
}

#[tokio::test]
async fn spans_that_the_collector_does_not_take_are_counted() {
    let replies = vec![
        Reply::Rejects(1),
        Reply::Says(StatusCode::OK, "<html>not a collector</html>"),
        Reply::Says(StatusCode::BAD_REQUEST, "no"),
        Reply::Says(StatusCode::SERVICE_UNAVAILABLE, "later"),
    ];
    let mut collector = Collector::start_with(replies, None).await;
    let (mut serve, mut connection) = exporting(&url(&collector), &[]).await;
    post_sampled(&mut connection).await;
    until_dropped(&serve, "rejected", 1).await;
    let warning = serve.event("spans are not exported").await;
    assert_eq!(warning["error"], "the collector rejects 1 of 1 spans: too old");
    assert_eq!(collector.spans().await.len(), 1);
    for failed in 1..=2 {
        post_sampled(&mut connection).await;
        until_dropped(&serve, "failed", failed).await;
    }
    // What is not available may be later, so this one is sent again.
    post_sampled(&mut connection).await;
    assert_eq!(collector.spans().await.len(), 1);
    serve.event("spans are exported again").await;
    until_dropped(&serve, "failed", 2).await;
}

#[tokio::test]
async fn an_https_collector_is_verified_by_the_given_ca() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut collector = Collector::start_with(Vec::new(), Some(&certified)).await;
    let endpoint = format!("https://localhost:{}", collector.address.port());
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    std::fs::write(&ca, certified.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    let (_serve, mut connection) = exporting(&endpoint, &["--otlp-ca", ca.to_str().unwrap()]).await;
    post_sampled(&mut connection).await;
    assert_eq!(collector.spans().await.len(), 1);

    let (mut serve, mut connection) = exporting(&endpoint, &["--otlp-ca", other.to_str().unwrap()]).await;
    post_sampled(&mut connection).await;
    let error = serve.event("spans are not exported").await["error"].to_string();
    assert!(error.contains("the collector is not reached: invalid peer certificate"), "{error}");
    // The file is read for each connection.
    std::fs::write(&other, certified.cert.pem()).unwrap();
    assert_eq!(collector.spans().await.len(), 1);
}
