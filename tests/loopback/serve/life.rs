//! The life of the process: probes, metrics, drain and exit.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

/// Returns the head of the response, in lower case, and the body.
async fn get(admin: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let accept = "application/openmetrics-text";
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn probes_and_metrics_are_served_over_plain_http() {
    let serve = Serve::on_facts(&seed()).await;
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    for path in ["/mutate", "/validate"] {
        response(&connection.post(path, review().to_string()).await);
    }
    for path in ["/livez", "/readyz"] {
        let (head, body) = get(&serve.admin, path).await;
        assert!(head.starts_with("http/1.1 200") && body == "ok", "{path}: {head} {body}");
    }
    let (head, body) = get(&serve.admin, "/metrics").await;
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    for line in [
        &*format!("lockstep_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION")),
        "lockstep_reviews_total{webhook=\"mutate\",authentication=\"none\",verdict=\"edit\",rule=\"gateway-placement\",reason=\"PLACED\",dry_run=\"false\"} 1\n",
        "lockstep_reviews_total{webhook=\"validate\",authentication=\"none\",verdict=\"deny\",rule=\"gateway-placement\",reason=\"NOT_PLACED\",dry_run=\"false\"} 1\n",
        "lockstep_review_duration_seconds_count{webhook=\"mutate\"} 1\n",
        "lockstep_handler_panics_total 0\n",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "lockstep_connections_total 1\n",
        "lockstep_tls_certificate_expiry_timestamp_seconds ",
    ] {
        assert!(body.contains(line), "{line} is not in\n{body}");
    }
    assert!(get(&serve.admin, "/mutate").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn sigterm_lets_a_review_in_flight_finish_and_exits_with_0() {
    let facts = seed();
    let mut serve = Serve::start(&["--facts", facts.to_str().unwrap(), "--drain", "0"], None).await;
    let tls = trusting(&serve.ca_pem);
    let stream = TcpStream::connect(&serve.webhook).await.unwrap();
    let mut stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let body = review().to_string();
    let (begun, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{begun}").as_bytes()).await.unwrap();
    let under_way = |_, text: &str| text.contains("lockstep_requests_in_flight 1\n");
    wait::until(&serve.admin, "/metrics", under_way).await;

    serve.signal("TERM");
    serve.event("draining: not ready, still serving").await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"allowed\":true"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    let (code, log) = serve.ended().await;
    assert_eq!(code, Some(0), "{log:?}");
}

#[tokio::test]
async fn a_draining_program_serves_calls_and_a_second_signal_ends_it() {
    let facts = seed();
    let mut serve = Serve::start(&["--facts", facts.to_str().unwrap(), "--drain", "600"], None).await;
    let tls = trusting(&serve.ca_pem);
    let mut kept = Connection::open(&serve.webhook, &tls).await;
    let answer = kept.post("/mutate", review().to_string()).await;
    assert!(!answer.head.headers().contains_key("connection"));

    serve.signal("TERM");
    wait::until(&serve.admin, "/readyz", |status, text| status == 503 && text == "the server is draining")
        .await;
    assert!(get(&serve.admin, "/livez").await.0.starts_with("http/1.1 200"));
    for mut connection in [kept, Connection::open(&serve.webhook, &tls).await] {
        let answer = connection.post("/mutate", review().to_string()).await;
        assert_eq!(answer.head.headers()["connection"], "close");
        assert_eq!(response(&answer)["allowed"], true);
    }
    serve.signal("INT");
    assert_eq!(serve.ended().await.0, Some(0));
}
