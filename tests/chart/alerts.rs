//! The chart's alerts: their texts and their rows in docs/operation.md. `process` checks that the program exports
//! their metrics.

use std::collections::BTreeSet;

use serde_json::Value;

use lockstep_test_support::helm::{Helm, text, the};

/// Returns the rules of the rendered PrometheusRule.
fn rules() -> Vec<Value> {
    let rendered = the("PrometheusRule", &Helm::offline().render("ha", &[]));
    rendered["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

/// Returns the metrics that the alerts query, without the suffix `_total` of counters.
pub fn metrics() -> BTreeSet<String> {
    let expressions: Vec<_> = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    let metrics: BTreeSet<String> = expressions
        .iter()
        .flat_map(|expression| {
            expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        })
        .filter(|word| word.starts_with("lockstep_"))
        .map(|word| word.trim_end_matches("_total").to_owned())
        .collect();
    assert!(metrics.len() > 8, "{metrics:?}");
    metrics
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operation.md")).unwrap();
    for rule in rules() {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        let row = format!("| `{}` | {severity} |", rule["alert"].as_str().unwrap());
        assert!(page.contains(&row), "docs/operation.md has no row `{row}`");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].as_str().unwrap().ends_with('.'), "{rule}");
        }
    }
    assert!(text("templates/prometheusrule.yaml").contains("certificateExpirySeconds"));
}
