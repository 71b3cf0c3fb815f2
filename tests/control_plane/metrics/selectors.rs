//! What the alerts ask for is what Lockstep exports, label by label: an alert on a series that does not exist is
//! always quiet.

use std::collections::BTreeSet;

use super::course::rules;
use super::page::Page;

/// Labels that come with the scrape.
const SCRAPED: [&str; 3] = ["namespace", "service", "pod"];

/// A selector in an expression, with what it asks of labels: their name, `=` or `=~` and so on, and the value.
struct Selector<'e> {
    name: &'e str,
    matchers: Vec<(&'e str, &'e str, &'e str)>,
}

/// The selectors of Lockstep's own metrics in an expression.
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

/// Whether a series meets what is asked of one of its own labels.
fn meets(held: Option<&String>, operator: &str, value: &str) -> bool {
    let held = held.map_or("", String::as_str);
    let is_among = value.split('|').any(|word| word == held);
    match operator {
        "=" | "=~" => is_among,
        "!=" | "!~" => !is_among,
        _ => panic!("`{operator}` is no operator"),
    }
}

/// Every selector of every alert finds a series on a page that has all metrics.
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
