//! The chart's alerts: their texts and their sections in docs/alerts.md. `process` checks that the program exports
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
    for rule in rules() {
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].as_str().unwrap().ends_with('.'), "{rule}");
        }
    }
    assert!(text("templates/prometheusrule.yaml").contains("certificateExpirySeconds"));
}

#[test]
fn every_alert_links_to_its_section_of_the_runbook() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.md")).unwrap();
    let names: Vec<String> = rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    for (rule, name) in rules().iter().zip(&names) {
        let anchor = name.to_lowercase();
        let base = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/alerts.md");
        assert_eq!(rule["annotations"]["runbook_url"], format!("{base}#{anchor}"), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        let row = format!("| [`{name}`](#{anchor}) | {severity} |");
        assert!(page.contains(&row), "docs/alerts.md has no row `{row}`");
        let (_, section) = page.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("{name}"));
        let section = section.split("\n#").next().unwrap();
        for part in ["\n**Means:** ", "\n**Do:** ", "\n**Ends:** "] {
            assert_eq!(section.matches(part).count(), 1, "docs/alerts.md, {name}: {part:?}");
        }
        if let Some(wait) = rule["for"].as_str() {
            let (number, unit) = wait.split_at(wait.len() - 1);
            let unit = if unit == "h" { "hour" } else { "minute" };
            let is_told = section.contains(&format!("For {number} {unit}")) || is_about_a_time(name);
            assert!(is_told, "docs/alerts.md, {name}: the alert waits for {wait}");
        }
    }
    let sections = page.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(sections.collect::<BTreeSet<_>>(), names.iter().map(String::as_str).collect());
}

/// Whether the expression has a time of its own, to which the time that the alert waits is added or does not matter.
fn is_about_a_time(alert: &str) -> bool {
    ["LockstepWatchStale", "LockstepStateWatchStale", "LockstepCertificateExpires"].contains(&alert)
}

#[test]
fn the_runbook_is_a_value() {
    let rendered = |base: &str| {
        let set = format!("prometheusRule.runbookUrl={base}");
        let rule = the("PrometheusRule", &Helm::offline().render("ha", &["--set", &set]));
        rule["spec"]["groups"][0]["rules"][0]["annotations"]["runbook_url"].clone()
    };
    assert_eq!(rendered("https://wiki.example/lockstep"), "https://wiki.example/lockstep#lockstepabsent");
    assert_eq!(rendered(""), Value::Null);
}
