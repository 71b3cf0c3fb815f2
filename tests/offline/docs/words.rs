//! Tables that explain words of the program are complete.

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use lockstep::assessment::{Cause, CauseCode, Outcome, TopologyAssessment};
use lockstep::audit::verify::ProblemKind;
use lockstep::topology::{ENFORCED, GUARDED, GatewayTopology, MAX_FINDINGS, MAX_SERVICES, STALLED};
use lockstep_test_support::documents::{Document, document};
use prometheus_client::registry::Registry;

/// Returns the text between backticks in a cell.
fn spans(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// Returns the second cell of the row whose first cell is `first`.
fn meaning(page: &Document, head: &[&str], first: &str) -> String {
    let rows = page.table(head);
    let row = rows.iter().find(|row| row[0] == first).unwrap_or_else(|| panic!("no row `{first}`"));
    row[1].clone()
}

/// Returns the values of a label that a fresh process exports: every series starts at zero.
fn values(metric: &str, label: &str) -> BTreeSet<String> {
    let mut registry = Registry::with_prefix("lockstep");
    lockstep::server::ServerMetrics::default().register(&mut registry);
    lockstep::webhook::ReviewMetrics::default().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let series = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    let value =
        |labels: &str| Some(labels.split_once(&format!("{label}=\""))?.1.split_once('"')?.0.to_owned());
    series.filter_map(value).collect()
}

#[test]
fn the_labels_of_metrics_have_the_values_that_are_listed() {
    let page = document("docs/metrics.md");
    for metric in [
        "lockstep_reviews_unanswered_total",
        "lockstep_requests_refused_total",
        "lockstep_tls_handshakes_failed_total",
    ] {
        let listed = spans(&meaning(&page, &["label", "values"], &format!("`reason` of `{metric}`")));
        assert_eq!(listed, values(metric, "reason"), "{metric}");
    }
}

#[test]
fn every_reason_of_the_guarded_condition_is_documented() {
    let rows = document("docs/operation.md").table(&["reason", "what to do"]);
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| spans(&row[0])).collect();
    let mut reasons: BTreeSet<String> =
        lockstep::coverage::GuardedReason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    assert!(reasons.remove("Covered"));
    assert_eq!(listed, reasons);
}

#[test]
fn every_problem_of_the_decision_log_is_documented() {
    let rows = document("docs/audit.md").table(&["kind", "meaning"]);
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| spans(&row[0])).collect();
    let kinds = ProblemKind::ALL.map(|kind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned());
    assert_eq!(listed, BTreeSet::from(kinds));
}

#[test]
fn every_condition_and_outcome_and_every_bound_of_a_status_is_documented() {
    let page = document("docs/state.md");
    let listed = |head: &[&str]| -> BTreeSet<String> {
        page.table(head).iter().flat_map(|row| spans(&row[0])).collect()
    };
    let nothing = TopologyAssessment { name: "one".into(), ..TopologyAssessment::default() };
    let assessed = nothing.conditions().map(|condition| condition.kind);
    let conditions = assessed.into_iter().chain([GUARDED, STALLED, ENFORCED]).map(ToOwned::to_owned);
    assert_eq!(listed(&["condition", "True", "False", "Unknown"]), conditions.collect());

    let cause =
        Cause { code: CauseCode::Unread, message: String::new(), mend: String::new(), commands: Vec::new() };
    let because =
        [Outcome::Fragile, Outcome::Lost, Outcome::Silent, Outcome::Unknown].map(|of| of(cause.clone()));
    let outcomes = because.iter().chain([&Outcome::Preserved]).map(|outcome| outcome.word().to_owned());
    assert_eq!(listed(&["outcome", "meaning"]), outcomes.collect());

    for (field, bound) in [("`services`", MAX_SERVICES), ("`findings`", MAX_FINDINGS)] {
        let rows = page.table(&["field", "content", "bound"]);
        let row = rows.iter().find(|row| row[0] == field).unwrap();
        assert_eq!(row[2].split(';').next().unwrap(), bound.to_string(), "{field}");
    }
}

#[test]
fn the_columns_of_kubectl_are_those_of_the_definition() {
    let blocks = document("docs/state.md").blocks(&["console"]);
    let shown = blocks.iter().find(|block| block.text.starts_with("$ kubectl get gwt\n")).unwrap();
    let head: Vec<&str> = shown.text.lines().nth(1).unwrap().split_whitespace().collect();
    let columns = GatewayTopology::crd().spec.versions.remove(0).additional_printer_columns.unwrap();
    let narrow = columns.into_iter().filter(|column| column.priority.unwrap_or_default() == 0);
    let names = std::iter::once("NAME".to_owned()).chain(narrow.map(|column| column.name.to_uppercase()));
    assert_eq!(head, names.collect::<Vec<_>>());
}
