//! The line of a review in the operators' log.

use serde_json::{Value, json};

use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, review_elsewhere, seed};
use lockstep_test_support::serve::Serve;

const SECRET: &str = "hunter2-do-not-log-me";
const USER: &str = "eve\"\n{\"verdict\":\"allow\"}\r\n\u{1b}[2J\u{9b}\u{7f}";

fn named(mut review: Value, uid: &str) -> Value {
    review["request"]["uid"] = uid.into();
    review["request"]["userInfo"]["username"] = USER.into();
    let spec = &mut review["request"]["object"]["spec"];
    spec["containers"][0]["env"] = json!([{"name": "TOKEN", "value": SECRET}]);
    review
}

#[tokio::test]
async fn the_log_names_user_and_reason_and_never_the_object() {
    let facts = seed();
    let arguments = ["--facts", facts.to_str().unwrap(), "--drain", "0", "--log-level", "debug"];
    let mut serve = Serve::start(&arguments, None).await;
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    for (path, review, allowed) in [
        ("/validate", named(review_elsewhere(), "of-the-untouched"), true),
        ("/validate", named(review(), "of-the-denied"), false),
        ("/mutate", named(review(), "of-the-edited"), true),
    ] {
        let answer = response(&connection.post(path, review.to_string()).await);
        assert_eq!(answer["allowed"], allowed, "{answer}");
    }
    let mut unreadable = named(review(), "of-the-unreadable");
    unreadable["request"]["object"]["metadata"]["labels"] = SECRET.into();
    let answer = response(&connection.post("/validate", unreadable.to_string()).await);
    assert_eq!(answer["status"]["code"], 400, "{answer}");
    serve.signal("TERM");
    let (_, lines) = serve.ended().await;

    let mut reviews = Vec::new();
    for line in &lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains(SECRET) && !line.contains("of-the-untouched"), "{line}");
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["message"].is_string() && event["level"].is_string(), "{line}");
        if event["message"] == "review" {
            reviews.push(event);
        }
    }
    let [denied, edited] = reviews.try_into().unwrap();
    let pod = &review()["request"];
    for (event, verdict, webhook, uid) in
        [(&denied, "deny", "validate", "of-the-denied"), (&edited, "edit", "mutate", "of-the-edited")]
    {
        for (field, value) in [
            ("verdict", verdict),
            ("webhook", webhook),
            ("uid", uid),
            ("user", USER),
            ("operation", "CREATE"),
            ("kind", "Pod"),
            ("namespace", "istio-system"),
            ("name", pod["name"].as_str().unwrap()),
            ("rule", "gateway-placement"),
            ("topology", "istio-ingressgateway"),
        ] {
            assert_eq!(event[field], value, "{field}: {event}");
        }
        assert_eq!(event["dry_run"], false);
        assert!(!event["reason"].as_str().unwrap().is_empty(), "{event}");
    }
    assert!(denied["detail"].as_str().unwrap().contains("could run on a node"), "{denied}");
}
