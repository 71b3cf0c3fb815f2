//! Tables that explain words of the program have all of these words.

use std::collections::BTreeSet;

use super::page::{Page, page, text};

/// The words that the variants of a type stand for: `Self::Busy => "busy"`.
fn words(source: &str, before: &str) -> BTreeSet<String> {
    let text = text(source);
    let (_, from) = text.split_once(before).unwrap_or_else(|| panic!("`{source}` has no `{before}`"));
    let lines = from.lines().take_while(|line| *line != "}");
    let found = lines.filter_map(|line| {
        let line = line.trim();
        let (variant, word) = line.strip_suffix("\",")?.split_once(" => \"")?;
        variant.starts_with("Self::").then(|| word.to_owned())
    });
    let found: BTreeSet<String> = found.collect();
    assert!(found.len() > 1, "{source}: {found:?}");
    found
}

/// What stands between backticks in one cell.
fn spans(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The cell beside the one that holds this.
fn meaning(page: &Page, head: &[&str], first: &str) -> String {
    let rows = page.table(head);
    let row = rows.iter().find(|row| row[0] == first).unwrap_or_else(|| panic!("no row `{first}`"));
    row[1].clone()
}

#[test]
fn the_labels_of_metrics_have_the_values_that_are_listed() {
    let page = page("docs/metrics.md");
    for (metric, source, before) in [
        ("lockstep_reviews_unanswered_total", "src/webhook/metrics.rs", "for Unanswered"),
        ("lockstep_requests_refused_total", "src/server/rejection.rs", "fn label"),
        ("lockstep_tls_handshakes_failed_total", "src/server/metrics.rs", "for HandshakeFailure"),
    ] {
        let listed = spans(&meaning(&page, &["label", "values"], &format!("`reason` of `{metric}`")));
        assert_eq!(listed, words(source, before), "{metric}");
    }
}

#[test]
fn every_reason_not_to_be_guarded_is_explained() {
    let rows = page("docs/operation.md").table(&["reason", "what to do"]);
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| spans(&row[0])).collect();
    let mut reasons: BTreeSet<String> =
        lockstep::coverage::GuardedReason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    assert!(reasons.remove("Covered"));
    assert_eq!(listed, reasons);
}

#[test]
fn every_kind_of_problem_with_the_decision_log_is_explained() {
    let rows = page("docs/audit.md").table(&["kind", "meaning"]);
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| spans(&row[0])).collect();
    let text = text("src/audit/verify/report.rs");
    let (_, variants) = text.split_once("pub enum Kind {\n").unwrap();
    let variants = variants.lines().take_while(|line| *line != "}").map(str::trim);
    let kebab = |variant: &str| -> String {
        let letters = variant.trim_end_matches(',').char_indices();
        letters
            .map(|(at, letter)| {
                format!("{}{}", if at > 0 && letter.is_uppercase() { "-" } else { "" }, letter.to_lowercase())
            })
            .collect()
    };
    let kinds: BTreeSet<String> = variants.filter(|line| !line.starts_with("///")).map(kebab).collect();
    assert_eq!(listed, kinds);
}

#[test]
fn what_queries_count_by_is_listed() {
    let command = super::reference::command();
    let query = command.find_subcommand("audit").unwrap().find_subcommand("query").unwrap();
    let by = query.get_arguments().find(|arg| arg.get_long() == Some("by")).unwrap();
    let dimensions: Vec<String> =
        by.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let page = page("docs/audit.md");
    let listed = format!("`--by` counts by {}.", dimensions.join(", "));
    assert!(
        page.paragraphs().iter().any(|text| text.contains(&listed)),
        "docs/audit.md does not say: {listed}"
    );
}
