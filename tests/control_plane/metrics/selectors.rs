//! Every selector of an alert matches an exported series, label by label. An alert on a series that does not exist
//! never fires.

use std::collections::BTreeSet;

use super::course::rules;
use super::page::Page;

/// Labels that the scrape adds.
const SCRAPED: [&str; 3] = ["namespace", "service", "pod"];

/// A selector in an expression, with its label matchers: name, operator such as `=` or `=~`, and value.
struct Selector<'e> {
    name: &'e str,
    matchers: Vec<(&'e str, &'e str, &'e str)>,
}

/// Returns the selectors of Lockstep's own metrics in an expression.
fn selectors(expression: &str) -> Vec<Selector<'_>> {
    let starts = expression.match_indices("lockstep_").map(|(start, _)| &expression[start..]);
    starts
        .map(|text| {
            let (name, rest) = text.split_once('{').unwrap_or_else(|| panic!("no labels: {expression}"));
            let (labels, _) = rest.split_once('}').unwrap();
            Selector { name, matchers: labels.split(',').map(matcher).collect() }
        })
        .collect()
}

fn matcher(text: &str) -> (&str, &str, &str) {
    let (left, value) = text.split_once('"').unwrap();
    let name = left.trim_end_matches(['=', '~', '!']);
    (name, &left[name.len()..], value.trim_end_matches('"'))
}

/// Whether a series satisfies a matcher of one of its own labels.
fn meets(held: Option<&String>, operator: &str, value: &str) -> bool {
    let held = held.map_or("", String::as_str);
    let is_among = value.split('|').any(|word| word == held);
    match operator {
        "=" | "=~" => is_among,
        "!=" | "!~" => !is_among,
        _ => panic!("`{operator}` is not an operator"),
    }
}

/// Asserts that every selector of every alert matches a series on a page with all metrics.
pub fn assert_exported(page: &Page) {
    let mut seen = BTreeSet::new();
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        for Selector { name, matchers } in selectors(expression) {
            let own = |label: &str| !SCRAPED.contains(&label);
            let is_met = page.series.iter().filter(|series| series.name() == name).any(|series| {
                let mut own = matchers.iter().filter(|(label, ..)| own(label));
                own.all(|(label, operator, value)| meets(series.labels.get(*label), operator, value))
            });
            assert!(is_met, "`{name}` with {matchers:?} in {expression}");
            seen.insert(name);
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
