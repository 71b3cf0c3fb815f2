//! The chart's Grafana dashboard: every query of every panel has an answer from what Lockstep exports. Prometheus' own engine evaluates
//! them.

use std::collections::BTreeSet;

use lockstep_test_support::helm::{Helm, NAMESPACE, objects, text};
use serde_json::{Value, json};

use super::course::Course;
use super::page::{Page, against_grafanas_types};

/// The rows, which are the questions that the dashboard answers.
const ROWS: [&str; 4] = [
    "Is the address preserved?",
    "What was refused, and for which topology?",
    "Is the webhook healthy?",
    "Certificates",
];

fn dashboard() -> Value {
    serde_json::from_str(&text("dashboards/lockstep.json")).unwrap()
}

/// The panels with a query, without the rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

/// The queries of a panel, with what Grafana puts into them.
fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets
        .map(|target| {
            let text = target["expr"].as_str().unwrap();
            let text = text.replace("$__rate_interval", "5m").replace("$__range", "5m");
            let text = text.replace("$namespace", NAMESPACE).replace("$service", "lockstep");
            assert!(!text.contains('$'), "{text}");
            text
        })
        .collect()
}

/// Asserts that every query returns series, where a replica exports this page.
pub fn assert_answered(page: &Page) {
    let dashboard = dashboard();
    let queries: Vec<String> = panels(&dashboard).into_iter().flat_map(queries).collect();
    assert!(queries.len() > 35, "{}", queries.len());
    Course::default().up(true, 5).then(page, 10).assert_answered(6, &queries);
    // A query of which nobody exports the series has no answer, so the assertion has power.
    let other = [queries[0].replace("lockstep_", "locksteq_")];
    let course = || Course::default().up(true, 5).then(page, 10).assert_answered(6, &other);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(course)).is_err());
}

#[test]
fn the_dashboard_has_a_row_for_each_question_and_a_place_for_each_panel() {
    let dashboard = dashboard();
    let all = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&Value> = all.iter().filter(|panel| panel["type"] == "row").collect();
    assert_eq!(rows.iter().map(|row| row["title"].as_str().unwrap()).collect::<Vec<_>>(), ROWS);
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in all {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24 && w > 0 && h > 0, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "two panels are at {cell:?}: {panel}");
        }
    }
    for panel in panels(&dashboard) {
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        for source in [&panel["datasource"]]
            .into_iter()
            .chain(panel["targets"].as_array().unwrap().iter().map(|it| &it["datasource"]))
        {
            assert_eq!(source, &json!({"type": "prometheus", "uid": "${datasource}"}), "{panel}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables: Vec<&str> = variables.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "namespace", "service"]);
}

/// Also a field that Grafana would default must be there: the types have no optional one for it.
#[test]
fn the_dashboard_is_what_grafanas_own_types_describe() {
    let text = text("dashboards/lockstep.json");
    assert_eq!(against_grafanas_types(&text), [""; 0]);
    for (right, wrong, problem) in [
        ("\"graphTooltip\": 1", "\"graphTooltips\": 1", "unexpected field 'graphTooltips'"),
        ("\"showHeader\"", "\"showHead\"", "unexpected field 'showHead'"),
        ("\"frameIndex\": 0, ", "", ".options.frameIndex: required field is missing"),
        ("\"type\": \"stat\"", "\"type\": \"singlestat\"", "unknown type \"singlestat\""),
        ("\"expr\":", "\"query\":", ".Dataquery: unexpected field 'query'"),
        ("[\"lockstep\", ", "[1, ", "cannot unmarshal number"),
    ] {
        let found = against_grafanas_types(&text.replace(right, wrong));
        assert!(found.iter().any(|found| found.contains(problem)), "{wrong}: {found:?}");
    }
}

#[test]
fn the_chart_puts_the_dashboard_where_grafana_looks_for_it() {
    let rendered = Helm::offline().template("everything", &[]);
    let objects = objects(&rendered);
    let kind = |kind: &str| objects.iter().filter(|it| it["kind"] == kind).cloned().collect::<Vec<_>>();
    let maps: Vec<Value> = kind("ConfigMap")
        .into_iter()
        .filter(|it| it["metadata"]["labels"]["grafana_dashboard"] == "1")
        .collect();
    let [map] = maps.as_slice() else { panic!("{maps:?}") };
    let key = "lockstep-dashboard.json";
    let inner: Value = serde_json::from_str(map["data"][key].as_str().unwrap()).unwrap();
    assert_eq!(inner, dashboard());
    assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Network");
    let [operators] = kind("GrafanaDashboard").try_into().unwrap();
    let place = json!({"name": map["metadata"]["name"], "key": key});
    assert_eq!(operators["spec"]["configMapRef"], place);
    assert!(!Helm::offline().template("default", &[]).contains("grafana"));
}
