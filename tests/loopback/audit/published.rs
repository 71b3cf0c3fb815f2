//! The published schema describes every line that is written.

use std::path::Path;

use lockstep::audit::{Content, Line};
use serde_json::Value;

use lockstep_test_support::decision_log::{assert_whole, audit, lines};
use lockstep_test_support::golden_file::assert_file_holds;
use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, review_elsewhere, seed};
use lockstep_test_support::serve::Serve;

#[test]
fn docs_audit_schema_json_is_what_the_command_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.schema.json");
    let printed = String::from_utf8(audit(&["schema"], &[]).stdout).unwrap();
    assert_file_holds(&path, &printed);
}

/// Collects all properties of the schema, at any depth.
fn properties(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                found.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| properties(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| properties(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_written_field_is_in_the_schema() {
    let (facts, folder) = (seed(), tempfile::tempdir().unwrap());
    let path = folder.path().join("audit.log");
    let name = path.to_str().unwrap();
    let arguments =
        ["--facts", facts.to_str().unwrap(), "--drain", "0", "--audit-log", name, "--audit-allowed"];
    let mut serve = Serve::start(&arguments, None).await;
    let mut connection = Connection::open(&serve.webhook, &trusting(&serve.ca_pem)).await;
    let advertisement: Value =
        serde_json::from_slice(include_bytes!("../../../benches/reviews/l2advertisement.json")).unwrap();
    let mut wide = advertisement.clone();
    wide["request"]["object"]["spec"]["nodeSelectors"] = serde_json::json!([]);
    let calls = [
        ("/mutate", review()),
        ("/validate", review()),
        ("/mutate", review_elsewhere()),
        ("/validate", wide),
    ];
    for (path, review) in calls {
        response(&connection.post(path, review.to_string()).await);
    }
    serve.signal("TERM");
    serve.ended().await;

    let mut described = Vec::new();
    properties(&serde_json::to_value(lockstep::audit::schema()).unwrap(), &mut described);
    let text = std::fs::read_to_string(&path).unwrap();
    for (raw, value) in text.lines().zip(lines(&text)) {
        let line: Line<'_> = serde_json::from_str(raw).unwrap();
        // Parsing loses no field, so every written field is part of the form.
        assert_eq!(serde_json::to_value(&line).unwrap(), value);
        for field in value.as_object().unwrap().keys() {
            assert!(described.contains(field), "`{field}` is not in the schema");
        }
    }
    let records: Vec<_> = text
        .lines()
        .filter_map(|line| match serde_json::from_str::<Line<'_>>(line).unwrap().content {
            Content::Review(record) => Some(record),
            _ => None,
        })
        .collect();
    let [edited, denied, untouched, wide] = &records[..] else { panic!("{text}") };
    let pod = &review()["request"];
    for record in [edited, denied] {
        assert_eq!(record.uid, pod["uid"].as_str().unwrap());
        assert_eq!(record.user, pod["userInfo"]["username"].as_str().unwrap());
        assert!(!record.groups.is_empty());
        assert_eq!(record.rule.as_deref(), Some("gateway-placement"));
        assert_eq!(record.topology.as_ref().unwrap().name, "istio-ingressgateway");
        assert_eq!(record.facts.unwrap().snapshot, 1);
        assert!(record.latency_microseconds > 0);
    }
    assert_eq!((&*edited.webhook, &*edited.verdict), ("mutate", "edit"));
    let patch = serde_json::to_value(edited.edits.as_ref().unwrap()).unwrap();
    assert_eq!(patch[0]["value"]["loadbalancerIPs.metallb.io"], "arp", "{patch}");
    assert_eq!((&*denied.webhook, &*denied.verdict), ("validate", "deny"));
    let wider = wide.findings.iter().find(|finding| finding.reason == "WIDER").unwrap();
    assert!(wider.witness.is_some() && wider.nodes.len() == 3, "{wide:?}");
    assert_eq!((&*untouched.verdict, &untouched.rule), ("allow", &None));
    assert_whole(&[&path]);
}
