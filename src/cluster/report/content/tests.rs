use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::snapshot::ObjectKey;

fn cause(code: CauseCode) -> Cause {
    Cause { code, message: "it is so".to_owned(), mend: "change it".to_owned(), commands: Vec::new() }
}

fn address(address: &str, outcome: Outcome) -> AddressAssessment {
    AddressAssessment {
        address: Some(address.to_owned()),
        pool: None,
        outcome,
        announcer: Some("worker".to_owned()),
        next: None,
        bgp_announcers: Vec::new(),
        candidates: 1,
    }
}

fn assessment(addresses: Vec<AddressAssessment>, findings: &[CauseCode]) -> TopologyAssessment {
    TopologyAssessment {
        name: Arc::from("one"),
        services: vec![ServiceAssessment {
            key: ObjectKey { namespace: "istio-system".to_owned(), name: "gateway".to_owned() },
            policy: "Local".to_owned(),
            health_check_node_port: None,
            addresses,
            nodes: Vec::new(),
        }],
        enforcement: std::collections::BTreeMap::new(),
        exceptions: Vec::new(),
        unread: None,
        unread_for_alignment: None,
        findings: findings.iter().copied().map(cause).collect(),
        nodes: None,
    }
}

fn report(assessment: &TopologyAssessment) -> Report {
    Report::new("one", "uid", &Assessed::Known(Arc::new(assessment.clone())), true).unwrap()
}

fn words(report: &Report) -> Vec<String> {
    let word = |value: Value| value.as_str().unwrap_or("-").to_owned();
    report
        .results
        .iter()
        .map(|it| {
            let (result, severity) = (word(json!(it.result)), word(json!(it.severity)));
            format!("{result} {severity} {} {} {}", it.policy, it.rule, it.resources[0].kind)
        })
        .collect()
}

#[test]
fn a_report_has_a_result_for_each_address_and_finding_the_worst_first() {
    let addresses = vec![
        address("192.0.2.1", Outcome::Preserved),
        address("192.0.2.2", Outcome::Fragile(cause(CauseCode::OneNode))),
        address("192.0.2.3", Outcome::Lost(cause(CauseCode::NotLocal))),
        address("192.0.2.4", Outcome::Unknown(cause(CauseCode::Unread))),
        address("192.0.2.5", Outcome::Silent(cause(CauseCode::NoEndpoint))),
    ];
    let report = report(&assessment(addresses, &[CauseCode::Wider, CauseCode::NoDisruptionBudget]));
    assert_eq!(
        words(&report),
        [
            "fail critical SourceIPPreserved NO_ENDPOINT Service",
            "fail high SourceIPPreserved NOT_LOCAL Service",
            "fail high Aligned WIDER GatewayTopology",
            "error - SourceIPPreserved UNREAD Service",
            "warn medium Resilient ONE_NODE Service",
            "warn low Resilient NO_DISRUPTION_BUDGET GatewayTopology",
            "pass - SourceIPPreserved OK Service",
        ]
    );
    assert_eq!(json!(report.summary), json!({"pass": 1, "fail": 3, "warn": 2, "error": 1, "skip": 0}));
    assert_eq!(report.results[1].message, "192.0.2.3: Lost: it is so; change it");
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "namespace": "istio-system", "name": "gateway"});
    assert_eq!(json!(report.results[1].resources), json!([service]));
    let properties = json!({"address": "192.0.2.3", "node": "worker", "outcome": "Lost"});
    assert_eq!(json!(report.results[1].properties), properties);
}

#[test]
fn a_topology_that_is_well_passes() {
    let report = report(&assessment(vec![address("192.0.2.1", Outcome::Preserved)], &[]));
    assert_eq!(
        words(&report),
        [
            "pass - SourceIPPreserved OK Service",
            "pass - Resilient OK GatewayTopology",
            "pass - Aligned OK GatewayTopology",
        ]
    );
}

#[test]
fn what_was_not_read_is_an_error_and_never_a_pass() {
    let unread = Some(cause(CauseCode::Unread));
    let mut blind = assessment(Vec::new(), &[]);
    (blind.services, blind.unread, blind.unread_for_alignment) = (Vec::new(), unread.clone(), unread);
    let errors =
        ["error - SourceIPPreserved UNREAD GatewayTopology", "error - Aligned UNREAD GatewayTopology"];
    assert_eq!(words(&report(&blind)), errors);
    let none = assessment(Vec::new(), &[CauseCode::NoService]);
    assert_eq!(
        words(&report(&none)),
        ["skip info SourceIPPreserved NO_SERVICE GatewayTopology", "pass - Aligned OK GatewayTopology"]
    );
    for (assessed, rule) in
        [(Assessed::Unknown, "UNREAD"), (Assessed::Unusable("no pool".to_owned()), "InvalidSpec")]
    {
        let stalled = Report::new("one", "uid", &assessed, true).unwrap();
        assert_eq!(words(&stalled), [format!("error - Stalled {rule} GatewayTopology")]);
    }
}

#[test]
fn a_report_is_bounded_keeps_the_worst_results_and_counts_all() {
    let addresses = (0..300).map(|index| {
        let outcome = if index == 299 {
            let long = Cause { message: "ä".repeat(4000), ..cause(CauseCode::NotLocal) };
            Outcome::Lost(long)
        } else {
            Outcome::Preserved
        };
        address(&format!("192.0.2.{index}"), outcome)
    });
    let report = report(&assessment(addresses.collect(), &[]));
    assert_eq!(report.results.len(), MAX_RESULTS);
    assert_eq!((report.summary.fail, report.summary.pass), (1, 300));
    assert_eq!(report.results[0].rule, "NOT_LOCAL");
    assert!(report.results.iter().all(|result| result.message.len() <= MAX_MESSAGE));
    assert!(json!(report).to_string().len() < 256 * 1024);
}

#[test]
fn a_time_changes_only_with_the_result() {
    let [first, later] = [60, 120].map(|second| Timestamp::from_second(second).unwrap());
    let of = |outcome| {
        report(&assessment(
            vec![address("192.0.2.1", outcome), address("192.0.2.2", Outcome::Preserved)],
            &[],
        ))
    };
    let times = |report: &Report| -> Vec<(String, i64)> {
        let time = |result: &ReportResult| result.timestamp.unwrap().seconds;
        let addresses = report.results.iter().filter(|result| result.properties.contains_key("address"));
        addresses.map(|result| (result.properties["address"].clone(), time(result))).collect()
    };
    let expected = |times: [(&str, i64); 2]| times.map(|(address, time)| (address.to_owned(), time));
    let stored = of(Outcome::Preserved).timed(None, first);
    assert_eq!(times(&stored), expected([("192.0.2.1", 60), ("192.0.2.2", 60)]));
    assert_eq!(of(Outcome::Preserved).timed(Some(&stored), later), stored);
    let lost = of(Outcome::Lost(cause(CauseCode::NotLocal))).timed(Some(&stored), later);
    assert_eq!(times(&lost), expected([("192.0.2.1", 120), ("192.0.2.2", 60)]));
    // Another sentence about the same is no other result.
    let reworded = Cause { message: "it is still so".to_owned(), ..cause(CauseCode::NotLocal) };
    let reworded = of(Outcome::Lost(reworded)).timed(Some(&lost), first);
    assert_eq!(times(&reworded), times(&lost));
    assert_eq!(lost.timeless(), of(Outcome::Lost(cause(CauseCode::NotLocal))));
}

#[test]
fn a_stored_report_reads_as_it_was_written() {
    for has_source in [true, false] {
        let assessment = assessment(vec![address("192.0.2.1", Outcome::Preserved)], &[CauseCode::Wider]);
        let report = Report::new("one", "uid", &Assessed::Known(Arc::new(assessment)), has_source).unwrap();
        let report = report.timed(None, Timestamp::UNIX_EPOCH);
        assert_eq!(json!(report).get("source").is_some(), has_source);
        assert_eq!(serde_json::from_value::<Report>(json!(report)).unwrap(), report);
    }
}
