//! Invalid input gets a response, and does not affect the next request.

use axum::body::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use lockstep_test_support::https::{Answer, Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed, text};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;
use lockstep_test_support::webhook::metric;

async fn connect(serve: &Serve) -> Connection {
    Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await
}

/// Asserts that an ordinary review is answered.
async fn assert_serves(connection: &mut Connection) {
    let answer = response(&connection.post("/mutate", review().to_string()).await);
    assert!(answer["allowed"] == true && answer["patch"].is_string(), "{answer}");
}

/// Asserts that the server still serves: on this connection, or on a new one if the response closed it.
async fn assert_still_serves(serve: &Serve, connection: &mut Connection, answer: &Answer) {
    if answer.head.headers().contains_key("connection") {
        *connection = connect(serve).await;
    }
    assert_serves(connection).await;
}

fn with(change: impl FnOnce(&mut Value)) -> Bytes {
    let mut review = review();
    change(&mut review);
    review.to_string().into()
}

fn deep() -> String {
    format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))
}

/// Returns the review with some text replaced.
fn replaced(from: &str, to: &str) -> String {
    let review = review().to_string();
    assert!(review.contains(from));
    review.replacen(from, to, 1)
}

#[tokio::test]
async fn a_body_that_is_not_a_review_gets_a_4xx_and_a_sentence() {
    let serve = Serve::on_facts(&seed()).await;
    let mut connection = connect(&serve).await;
    let whole = review().to_string();
    let post = |path: &str, content_type: &str, body: Bytes| {
        let request = Request::post(path).header("host", "localhost");
        let request = match content_type {
            "" => request,
            content_type => request.header("content-type", content_type),
        };
        request.body(Full::new(body)).unwrap()
    };
    let json = |body: Bytes| post("/validate", "application/json", body);
    let get = Request::get("/validate").header("host", "localhost").body(Full::default()).unwrap();
    let text_of = |body: &'static [u8]| json(Bytes::from_static(body));
    let cases = [
        (json(Bytes::copy_from_slice(&whole.as_bytes()[..whole.len() / 2])), 400, "cannot be read: EOF"),
        (text_of(b""), 400, "cannot be read: EOF"),
        (text_of(b"[]"), 400, "cannot be read"),
        (text_of(b"\xff\xfe"), 400, "cannot be read"),
        (text_of(b"{\"request\":{\"uid\":\"\xff\"}}"), 400, "cannot be read"),
        (json(deep().into()), 400, "cannot be read"),
        (
            json(with(|review| {
                review["request"].as_object_mut().unwrap().remove("uid");
            })),
            400,
            "has no uid",
        ),
        (json(with(|review| review["request"]["uid"] = Value::Null)), 400, "has no uid"),
        (json(with(|review| review["request"] = Value::Null)), 400, "has no request"),
        (
            json(with(|review| {
                let request = review["request"].as_object_mut().unwrap();
                request.values_mut().for_each(|value| *value = Value::Null);
            })),
            400,
            "has no uid",
        ),
        (json(vec![b' '; 12 << 20].into()), 413, "the limit of 8388608 bytes"),
        (post("/validate", "text/plain", whole.clone().into()), 415, "must be `application/json`"),
        (post("/validate", "", whole.clone().into()), 415, "must be `application/json`"),
        (post("/convert", "application/json", whole.clone().into()), 404, "`/mutate` or `/validate`"),
        (get, 405, "must be `POST`"),
    ];
    for (request, status, sentence) in cases {
        let what = format!("{} {} expects {status} {sentence}", request.method(), request.uri());
        let answer = connection.send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", text(&answer));
        assert!(text(&answer).contains(sentence), "{what}: {}", text(&answer));
        assert_eq!(answer.head.headers()["content-type"], "text/plain; charset=utf-8", "{what}");
        assert_eq!(answer.head.headers().contains_key("connection"), status == 413, "{what}");
        assert_still_serves(&serve, &mut connection, &answer).await;
    }
    assert_eq!(metric(&serve.admin, "lockstep_handler_panics_total").await, 0);
}

#[tokio::test]
async fn an_unreadable_review_with_a_uid_is_denied_with_the_reason() {
    let serve = Serve::on_facts(&seed()).await;
    let mut connection = connect(&serve).await;
    let unreadable: [(Bytes, &str); 6] = [
        (with(|review| review["apiVersion"] = "admission.k8s.io/v1beta1".into()), "admissionReviewVersions"),
        (with(|review| review["request"]["resource"]["version"] = "v2".into()), "matchPolicy Equivalent"),
        (with(|review| review["request"]["object"] = Value::Null), "request.object is missing"),
        (with(|review| review["request"]["object"]["metadata"]["labels"] = json!("no")), "cannot be read"),
        (replaced("\"labels\":{", &format!("\"labels\":{},\"x\":{{", deep())).into(), "cannot be read"),
        (replaced("\"system:masters\"", &deep()).into(), ""),
    ];
    for (body, sentence) in unreadable {
        let answer = connection.post("/validate", body).await;
        let denial = response(&answer);
        assert_eq!(denial["uid"], review()["request"]["uid"]);
        assert_eq!(denial["allowed"], false);
        let message = denial["status"]["message"].as_str().unwrap();
        assert!(message.contains(sentence), "{denial}");
        assert_still_serves(&serve, &mut connection, &answer).await;
    }
    let denied =
        "lockstep_reviews_total{webhook=\"validate\",authentication=\"none\",verdict=\"deny\",rule=\"none\"";
    assert_eq!(metric(&serve.admin, denied).await, 6);
    assert_eq!(metric(&serve.admin, "lockstep_reviews_unanswered_total").await, 0);
    assert_eq!(metric(&serve.admin, "lockstep_handler_panics_total").await, 0);
}

#[tokio::test]
async fn connections_that_never_finish_do_not_block_others() {
    let serve = Serve::on_facts(&seed()).await;
    let mut steady = connect(&serve).await;
    assert_serves(&mut steady).await;
    let mut silent = Vec::new();
    let mut slow = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&serve.webhook).await.unwrap());
        for start in ["", "POST /vali", "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: "] {
            slow.push(started(&serve, start).await);
        }
        let head = "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        slow.push(started(&serve, head).await);
    }
    wait::until(&serve.admin, "/metrics", |_, text| {
        text.contains("lockstep_connections_open 251\n") && text.contains("lockstep_requests_in_flight 50\n")
    })
    .await;
    assert_serves(&mut steady).await;
    assert_serves(&mut connect(&serve).await).await;

    // Half of the clients disconnect without a TLS close, the others send one.
    drop(slow.drain(..100));
    for stream in &mut slow {
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    }
    drop((silent, slow));
    wait::until(&serve.admin, "/metrics", |_, text| {
        text.contains("lockstep_connections_open 1\n") && text.contains("lockstep_requests_in_flight 0\n")
    })
    .await;
    assert_serves(&mut steady).await;
    assert_eq!(metric(&serve.admin, "lockstep_handler_panics_total").await, 0);
}

/// Opens a connection on which only this text is sent.
async fn started(serve: &Serve, start: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = TcpStream::connect(&serve.webhook).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = trusting(&serve.ca_pem).connect(name, stream).await.unwrap();
    stream.write_all(start.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}
