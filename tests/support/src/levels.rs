//! The levels at which every case is run. Each produces the outcome of a case by other means.

use std::collections::BTreeMap;

use serde_json::Value;

use super::case::{Case, Outcome};
use super::findings;

/// The differences as text; `None` if there are none.
pub fn difference(case: &Case, expected: &Outcome, seen: &Outcome) -> Option<String> {
    if expected == seen {
        return None;
    }
    let codes = |outcome: &Outcome| {
        let Outcome { verdict, denials, warnings, audits, edits, .. } = outcome;
        format!("{verdict}, denials {denials:?}, warnings {warnings:?}, audits {audits:?}, edits {edits:?}")
    };
    let mut text = format!("{}\n  expected {}\n  seen     {}", case.name, codes(expected), codes(seen));
    for missing in expected.texts.difference(&seen.texts) {
        text.push_str(&format!("\n  missing:\n    {missing}"));
    }
    for unexpected in seen.texts.difference(&expected.texts) {
        text.push_str(&format!("\n  unexpected:\n    {unexpected}"));
    }
    Some(text)
}

/// Fails if there are differences.
pub fn settle(level: &str, cases: usize, differences: &[String]) {
    let wrong = differences.len();
    assert!(differences.is_empty(), "{level}: {wrong} of {cases} cases differ:\n{}", differences.join("\n"));
}

/// Every value that is new or different in `after`, by its JSON pointer.
pub fn edits_between(before: &Value, after: &Value) -> BTreeMap<String, Value> {
    let mut edits = BTreeMap::new();
    walk(Some(before), after, String::new(), &mut edits);
    edits
}

fn walk(before: Option<&Value>, after: &Value, at: String, edits: &mut BTreeMap<String, Value>) {
    match (before, after) {
        (Some(before), after) if before == after => {}
        (Some(Value::Object(before)), Value::Object(after)) => {
            for (key, value) in after {
                let token = key.replace('~', "~0").replace('/', "~1");
                walk(before.get(key), value, format!("{at}/{token}"), edits);
            }
        }
        _ => drop(edits.insert(at, after.clone())),
    }
}

/// Adds a warning: `rule REASON: text`.
pub fn add_warning(outcome: &mut Outcome, warning: &str) {
    let reason = warning.split([' ', ':']).nth(1);
    outcome.add("warn", reason.unwrap_or_else(|| panic!("a warning without a reason: {warning}")));
    outcome.texts.insert(findings::warned(warning));
}

/// Adds the causes in a `Status`.
pub fn add_causes(outcome: &mut Outcome, status: &Value) {
    for cause in status["details"]["causes"].as_array().unwrap() {
        let text = |key: &str| cause[key].as_str().unwrap();
        outcome.add("deny", text("reason"));
        outcome.texts.insert(findings::cause(text("reason"), text("field"), text("message")));
    }
}
