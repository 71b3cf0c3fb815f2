//! Untrusted names, labels, users and groups in the decision log.

use serde_json::{Value, json};

use lockstep_test_support::decision_log::{assert_whole, audit, lines, reviews};
use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed};
use lockstep_test_support::serve::Serve;

const FORGED: &str = "eve\"}\n{\"schema\":1,\"event\":\"review\",\"verdict\":\"allow\"}\r\n\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}\\";
const SECRET: &str = "hunter2-do-not-record-me";

/// The maximum length of the line of a review, in bytes.
const LINE_LIMIT: usize = 64 << 10;

fn long() -> String {
    FORGED.repeat(1_000_000 / FORGED.len() + 1)
}

/// The texts of a request that users choose. In each test request, all of them are hostile, and one is very long.
const CHOSEN: [&str; 6] = [
    "/userInfo/username",
    "/userInfo/groups/1",
    "/name",
    "/object/metadata/generateName",
    "/object/metadata/labels/other",
    "/object/spec/nodeSelector/loadbalancerIPs.metallb.io",
];

fn hostile(uid: &str) -> Value {
    let mut review = review();
    let request = &mut review["request"];
    request["uid"] = uid.into();
    request["userInfo"] = json!({"groups": ["", "", ""], "extra": {"x": [FORGED]}});
    request["object"]["spec"]["nodeSelector"] = json!({});
    request["object"]["metadata"]["annotations"] = json!({"secret": SECRET});
    request["object"]["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": SECRET}]);
    for place in CHOSEN {
        let (parent, field) = place.rsplit_once('/').unwrap();
        match request.pointer_mut(parent).unwrap() {
            Value::Array(items) => items.fill(FORGED.into()),
            object => object[field] = FORGED.into(),
        }
    }
    review
}

#[tokio::test]
async fn untrusted_text_cannot_break_or_inflate_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let facts = seed();
    let arguments =
        ["--facts", facts.to_str().unwrap(), "--drain", "0", "--audit-log", path.to_str().unwrap()];
    let mut serve = Serve::start(&arguments, None).await;
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;

    let mut posted = vec![hostile("short")];
    for place in CHOSEN {
        let mut review = hostile("long");
        *review["request"].pointer_mut(place).unwrap() = long().into();
        posted.push(review);
    }
    for review in &posted {
        let answer = response(&connection.post("/mutate", review.to_string()).await);
        assert_eq!(answer["allowed"], false, "{answer}");
    }
    let mut crowded = hostile("crowded");
    crowded["request"]["userInfo"]["groups"] = vec![FORGED; 10_000].into();
    response(&connection.post("/mutate", crowded.to_string()).await);
    // A review that cannot be decoded is denied and recorded, too.
    let mut unreadable = hostile("unreadable");
    unreadable["request"]["object"]["metadata"]["labels"] = SECRET.into();
    let answer = response(&connection.post("/mutate", unreadable.to_string()).await);
    assert_eq!(answer["status"]["code"], 400, "{answer}");
    serve.signal("TERM");
    let (code, operators) = serve.ended().await;
    assert_eq!(code, Some(0));

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(SECRET));
    for line in text.lines() {
        assert!(line.len() <= LINE_LIMIT, "{} bytes", line.len());
        assert!(!line.contains(|character: char| character.is_control() || character == '\u{202e}'));
    }
    let reviews = reviews(&text);
    assert_eq!(lines(&text).len(), reviews.len() + 2, "one line begins the chain, and one ends it");
    assert_eq!(reviews.len(), posted.len() + 2);
    for review in &reviews {
        assert_eq!(review["verdict"], "deny", "{review}");
    }
    let short = &reviews[0];
    for field in ["user", "name", "generateName"] {
        assert_eq!(short[field], FORGED, "{field}");
    }
    assert_eq!(short["groups"], json!([FORGED, FORGED, FORGED]));
    let [.., crowded, unreadable] = &reviews[..] else { panic!("{text}") };
    assert_eq!((crowded["groups"].as_array().unwrap().len(), &crowded["moreGroups"]), (32, &json!(9_968)));
    assert_eq!((&unreadable["user"], &unreadable["kind"]), (&json!(FORGED), &json!("Pod")));
    assert!(unreadable["error"].as_str().unwrap().contains("cannot be read"), "{unreadable}");
    assert_eq!(assert_whole(&[&path])["records"], reviews.len());

    // The operators' log, and the output of queries.
    let table = audit(&["query"], &[&path]);
    let counts = audit(&["query", "--by", "user,name,verdict"], &[&path]);
    let shown = [String::from_utf8(table.stdout).unwrap(), String::from_utf8(counts.stdout).unwrap()];
    assert_eq!(shown[0].lines().count(), reviews.len() + 1, "{}", shown[0]);
    for line in shown.iter().flat_map(|text| text.lines()).chain(operators.iter().map(String::as_str)) {
        assert!(!line.contains(|character: char| character.is_control()), "{line:?}");
        assert!(!line.contains(SECRET), "{line}");
    }
    assert!(!shown.iter().any(|text| text.contains('\u{202e}')));
}
