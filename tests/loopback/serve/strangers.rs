//! Callers that anyone on the network could be: what they can make Lockstep send, write and reveal.

use std::time::Instant;

use serde_json::Value;

use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed, serve, text};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::webhook::metric;

const ADVERTISEMENT: &str = include_str!("../../../benches/reviews/l2advertisement.json");

async fn connect(serve: &Serve) -> Connection {
    Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await
}

#[tokio::test]
async fn a_uid_longer_than_the_api_servers_is_answered_with_400_and_not_echoed() {
    let serve = Serve::on_facts(&seed()).await;
    let mut connection = connect(&serve).await;
    let mut hostile = review();
    hostile["request"]["uid"] = "u".repeat(3 << 20).into();
    let answer = connection.post("/validate", hostile.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len() < 1024), (400, true));
    assert_eq!(text(&answer), "request.uid has 3145728 bytes: the API server sends at most 128");
    for field in ["name", "namespace"] {
        let mut hostile = review();
        hostile["request"][field] = "n".repeat(3 << 20).into();
        let answer = connection.post("/validate", hostile.to_string()).await;
        assert!(answer.body.len() < 1024, "{field}");
        assert_eq!(response(&answer)["status"]["code"], 400, "{field}");
    }
}

#[tokio::test]
async fn forged_reviews_are_recorded_as_such_and_within_a_rate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let mut serve = serve(&["--audit-log", file.to_str().unwrap()]).await;
    let mut connection = connect(&serve).await;
    let denied = review().to_string();
    let (calls, start) = (3000, Instant::now());
    for _ in 0..calls {
        assert_eq!(response(&connection.post("/validate", denied.clone()).await)["allowed"], false);
    }
    let allowed = 1000 + (start.elapsed().as_millis() / 10) as u64 + 1;
    let labels = "verdict=\"deny\",rule=\"gateway-placement\",reason=\"NOT_PLACED\",dry_run=\"false\"}";
    let counted = format!("lockstep_reviews_total{{webhook=\"validate\",authentication=\"none\",{labels}");
    assert_eq!(metric(&serve.admin, &counted).await, calls);
    let not_recorded = metric(&serve.admin, "lockstep_reviews_not_recorded_total").await;
    let recorded = calls - not_recorded;
    assert!((1000..=allowed).contains(&recorded), "{recorded} of at most {allowed}");

    serve.signal("TERM");
    assert_eq!(serve.ended().await.0, Some(0));
    let log = std::fs::read_to_string(&file).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reviews = records.iter().filter(|record| record["event"] == "review");
    assert_eq!(reviews.clone().count() as u64, recorded);
    assert!(reviews.clone().all(|record| record["authentication"] == "none"));
}

#[tokio::test]
async fn a_denial_names_todays_nodes_only_to_a_known_caller_or_if_the_operator_allows_it() {
    for (callers, is_named) in [("authenticated", false), ("always", true)] {
        let serve = serve(&["--node-names", callers]).await;
        let answer = connect(&serve).await.post("/validate", ADVERTISEMENT).await;
        let denial = response(&answer);
        assert_eq!(denial["allowed"], false, "{denial}");
        let whole = denial.to_string();
        assert_eq!(whole.contains("demo-dev-"), is_named, "{whole}");
        assert!(denial["auditAnnotations"]["witness"].is_string(), "{whole}");
        assert!(whole.contains("a node labelled"), "{whole}");
    }
}
