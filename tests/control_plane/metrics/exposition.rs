//! The metrics of a server under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::page::{Page, Series, check_metrics};
use lockstep_test_support::https::get;
use lockstep_test_support::reviews::{connect, of_somebody, serve};
use lockstep_test_support::serve::Serve;

/// The number of objects. Each has its own name, labels, user and group, and every second one its own namespace.
const OBJECTS: usize = 10_000;
const CONNECTIONS: usize = 4;

/// Posts the reviews of these objects to both webhooks in turn.
async fn post(serve: &Serve, objects: impl Iterator<Item = usize>) {
    let mut connection = connect(serve).await;
    for number in objects {
        let path = if number % 4 < 2 { "/mutate" } else { "/validate" };
        // Rules have findings in the gateway's namespace only.
        let namespace =
            if number % 3 == 0 { "istio-system".to_owned() } else { format!("namespace-{number}") };
        let answer = connection.post(path, of_somebody(number, &namespace).to_string()).await;
        assert_eq!(answer.status, 200, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_under_load_are_valid_and_user_names_add_no_series() {
    let serve = Arc::new(serve(&[]).await);
    // Each kind of response once: 12 reviews cover both webhooks, findings or none, dry run or not.
    post(&serve, 0..12).await;
    let before = Page::of(&serve.admin).await;
    assert!(before.series.len() > 60, "{} series", before.series.len());

    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let serve = Arc::clone(&serve);
            tokio::spawn(async move { post(&serve, (first..OBJECTS).step_by(CONNECTIONS)).await })
        })
        .collect();
    let is_done = Arc::new(AtomicBool::new(false));
    let scrapes = tokio::spawn({
        let (serve, is_done) = (Arc::clone(&serve), Arc::clone(&is_done));
        async move {
            let mut pages = 0;
            while !is_done.load(Ordering::Relaxed) {
                let page = Page::of(&serve.admin).await;
                assert_eq!(page.value("lockstep_handler_panics_total", &[]), 0.0);
                pages += 1;
            }
            pages
        }
    });
    for task in tasks {
        task.await.unwrap();
    }
    is_done.store(true, Ordering::Relaxed);
    let pages = scrapes.await.unwrap();
    assert!(pages > 5, "{pages} pages were read under load");

    let after = Page::of(&serve.admin).await;
    let names = |page: &Page| -> Vec<_> { page.series.iter().map(|series| series.labels.clone()).collect() };
    let (mut before, mut last) = (names(&before), names(&after));
    before.sort();
    last.sort();
    assert_eq!(before, last);
    let reviews = after.series.iter().filter(|series| series.name() == "lockstep_reviews_total");
    assert_eq!(reviews.map(Series::value).sum::<f64>(), (OBJECTS + 12) as f64);
    for series in &after.series {
        for value in series.labels.values() {
            let words = ["namespace-", "pod-", "user-", "group-", "label-", "value-", "uid-"];
            assert!(!words.iter().any(|word| value.starts_with(word)), "{series:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_buckets_reach_from_microseconds_to_the_longest_timeout() {
    let serve = serve(&[]).await;
    post(&serve, 0..12).await;
    let page = Page::of(&serve.admin).await;
    let name = "lockstep_review_duration_seconds_bucket";
    let buckets = page.series.iter().filter(|series| series.is(name, &[("webhook", "mutate")]));
    let bounds: Vec<f64> = buckets.map(|series| series.labels["le"].parse().unwrap_or(f64::MAX)).collect();
    assert!(bounds.iter().filter(|bound| **bound <= 1e-4).count() >= 4, "{bounds:?}");
    // A webhook's `timeoutSeconds` is at most 30.
    assert!(bounds.contains(&30.0) && bounds.is_sorted(), "{bounds:?}");
    let count = page.value("lockstep_review_duration_seconds_count", &[("webhook", "mutate")]);
    assert_eq!(page.value(name, &[("webhook", "mutate"), ("le", "+Inf")]), count);
}

/// GETs the metrics as a program that asks for no format, such as curl.
async fn scraped_by_curl(admin: &str) -> String {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_nothing_wrong_with_the_text_format_and_both_formats_have_the_same_series() {
    let serve = serve(&[]).await;
    post(&serve, 0..12).await;
    let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let review = of_somebody(12, "istio-system").to_string();
    assert_eq!(connect(&serve).await.post_in_trace("/mutate", &[sampled], review).await.status, 200);
    let text = scraped_by_curl(&serve.admin).await;
    let said = check_metrics(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(said, "", "{text}");
    let (_, open_metrics) = get(&serve.admin, "/metrics").await;
    // Prometheus' parser reads the exemplar, which the text format does not have.
    Page::parse(&open_metrics);
    assert!(open_metrics.contains(" # {trace_id=") && !text.contains(" # {"), "{text}");
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| line.split_once(" # {").map_or(line, |(sample, _)| sample));
        samples.map(|sample| sample.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    assert_eq!(series(&text), series(&open_metrics));
    assert!(check_metrics("# TYPE a counter\na 1\n").is_err(), "promtool finds fault with something");
}
