//! The report of `lockstep status`, as a table and as JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::ConditionName;
use crate::cli::output::{columns, json_document};
use crate::cli::render::printable;
use crate::cluster::topology_status::{TopologyStatus, TopologyStatuses};
use crate::topology::{ENFORCED, FindingStatus, STALLED, ServiceStatus, StatusSummary};

/// The version of the JSON document.
const VERSION: u32 = 1;

/// The rows of all topologies. New fields may be added without a new `version`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    topologies: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    /// The condition `Guarded`, once more, with its reason and message.
    guarded: String,
    reason: String,
    message: String,
    conditions: Vec<Reported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<StatusSummary>,
    services: Vec<ServiceStatus>,
    findings: Vec<FindingStatus>,
}

/// A condition as it counts now.
#[derive(Debug, Clone, Serialize)]
struct Reported {
    #[serde(rename = "type")]
    kind: String,
    /// `True`, `False`, or `Unknown`, also while no replica has judged the current generation of the topology.
    status: String,
    reason: String,
    message: String,
}

impl Report {
    pub(super) fn new(topologies: &TopologyStatuses) -> Self {
        let rows = topologies.iter().map(|(name, topology)| Row::new(name, topology));
        Self { version: VERSION, topologies: rows.collect() }
    }

    /// Whether there is a topology, and these conditions are True in all topologies.
    pub(super) fn holds(&self, conditions: &[ConditionName]) -> bool {
        let holds = |row: &Row| conditions.iter().all(|name| row.status(*name) == "True");
        !self.topologies.is_empty() && self.topologies.iter().all(holds)
    }

    /// One line for each topology, then one for each condition that is not as it should be.
    pub(super) fn table(&self, is_wide: bool) -> String {
        if self.topologies.is_empty() {
            return "there is no GatewayTopology in the cluster, so nothing is guarded: create one\n"
                .to_owned();
        }
        let mut heads = vec!["NAME", "GUARDED", "ALIGNED", "PRESERVED", "RESILIENT"];
        if is_wide {
            heads.extend(["ADDRESSES", "GATEWAY NODES", "ANNOUNCING", "SERVING"]);
        }
        let mut rows = vec![heads.into_iter().map(str::to_owned).collect()];
        rows.extend(self.topologies.iter().map(|row| row.cells(is_wide)));
        let mut lines = columns(&rows);
        let problems: Vec<String> = self.topologies.iter().flat_map(Row::problems).collect();
        if !problems.is_empty() {
            lines.push(String::new());
            lines.extend(problems);
        }
        lines.push(String::new());
        lines.join("\n")
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        json_document(self)
    }
}

impl Row {
    fn new(name: &str, topology: &TopologyStatus) -> Self {
        let status = &topology.status;
        let conditions: Vec<Reported> =
            ConditionName::ALL.into_iter().map(|name| reported(topology, name.kind())).collect();
        let guarded = reported(topology, ConditionName::Guarded.kind());
        // Both are judged without a look at the state of the cluster, or say why it was not judged.
        let others =
            [STALLED, ENFORCED].into_iter().filter_map(|kind| status.condition(kind)).map(Reported::from);
        Self {
            name: name.to_owned(),
            guarded: guarded.status,
            reason: guarded.reason,
            message: guarded.message,
            conditions: conditions.into_iter().chain(others).collect(),
            summary: status.summary.clone(),
            services: status.services.clone(),
            findings: status.findings.clone(),
        }
    }

    fn status(&self, name: ConditionName) -> &str {
        let found = self.conditions.iter().find(|condition| condition.kind == name.kind());
        found.map_or("Unknown", |condition| &condition.status)
    }

    fn cells(&self, is_wide: bool) -> Vec<String> {
        let mut cells = vec![printable(&self.name).to_string()];
        cells.extend(ConditionName::ALL.map(|name| self.status(name).to_owned()));
        if is_wide {
            let numbers = |of: fn(&StatusSummary) -> String| self.summary.as_ref().map_or("?".to_owned(), of);
            cells.extend([
                numbers(|summary| format!("{} of {}", summary.preserved, summary.addresses)),
                numbers(|summary| summary.gateway_nodes.to_string()),
                numbers(|summary| summary.announcing_nodes.to_string()),
                numbers(|summary| summary.serving_nodes.to_string()),
            ]);
        }
        cells
    }

    /// A line for each condition that is not as it should be.
    fn problems(&self) -> impl Iterator<Item = String> {
        let is_problem = |condition: &&Reported| (condition.status == "True") == (condition.kind == STALLED);
        self.conditions.iter().filter(is_problem).map(|Reported { kind, status, reason, message }| {
            format!("{}: {kind} is {status}: {reason}: {}", printable(&self.name), printable(message))
        })
    }
}

impl From<&Condition> for Reported {
    fn from(condition: &Condition) -> Self {
        Self {
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        }
    }
}

/// A condition of a topology; Unknown if it is not of the topology's current generation.
fn reported(topology: &TopologyStatus, kind: &str) -> Reported {
    let unknown = |reason: &str, message: &str| Reported {
        kind: kind.to_owned(),
        status: "Unknown".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match topology.status.condition(kind) {
        None => unknown(
            "NotJudged",
            "no replica has judged this topology: run `lockstep serve` with `--webhook-configuration`",
        ),
        Some(condition) if condition.observed_generation != Some(topology.generation) => {
            unknown("Outdated", "the topology has changed since it was last judged")
        }
        Some(condition) => condition.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A topology of generation 2 with conditions of the generation `observed`.
    fn stored(conditions: &[(&str, &str, &str)], observed: i64) -> TopologyStatus {
        let condition = |(kind, status, reason): &(&str, &str, &str)| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": "so it is\u{1b}",
                "observedGeneration": observed, "lastTransitionTime": "2026-11-22T20:00:00Z",
            })
        };
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        let status = json!({
            "conditions": conditions,
            "summary": {"addresses": 2, "preserved": 1, "gatewayNodes": 3, "announcingNodes": 4, "servingNodes": 2},
        });
        TopologyStatus { generation: 2, status: serde_json::from_value(status).unwrap() }
    }

    fn judged(status: &str, reason: &str, observed: i64) -> TopologyStatus {
        stored(&[("Guarded", status, reason)], observed)
    }

    fn healthy() -> TopologyStatus {
        let all = ConditionName::ALL.map(|name| (name.kind(), "True", "OK"));
        stored(&[all.as_slice(), &[("Stalled", "False", "OK")]].concat(), 2)
    }

    fn report<const N: usize>(topologies: [(&str, TopologyStatus); N]) -> Report {
        Report::new(&topologies.map(|(name, topology)| (name.to_owned(), topology)).into())
    }

    #[test]
    fn the_report_holds_if_there_is_a_topology_and_the_conditions_are_true_in_all() {
        let guarded = || judged("True", "Covered", 2);
        let only = &[ConditionName::Guarded];
        assert!(report([("a", guarded())]).holds(only));
        assert!(!report([]).holds(only));
        for other in
            [judged("False", "FailsOpen", 2), judged("True", "Covered", 1), TopologyStatus::default()]
        {
            assert!(!report([("a", guarded()), ("b", other)]).holds(only));
        }
        assert!(!report([("a", guarded())]).holds(&[ConditionName::Guarded, ConditionName::Preserved]));
        assert!(report([("a", healthy())]).holds(&ConditionName::ALL));
    }

    #[test]
    fn the_table_has_a_line_for_each_topology_and_one_for_each_problem() {
        let mut lost = healthy();
        lost.status.conditions[2].status = "False".to_owned();
        lost.status.conditions[2].reason = "NOT_LOCAL".to_owned();
        lost.status.conditions[4].status = "True".to_owned();
        let report = report([("a", healthy()), ("ingress", lost)]);
        assert_eq!(
            report.table(false),
            "NAME     GUARDED  ALIGNED  PRESERVED  RESILIENT\n\
             a        True     True     True       True\n\
             ingress  True     True     False      True\n\
             \n\
             ingress: SourceIPPreserved is False: NOT_LOCAL: so it is\\u{1b}\n\
             ingress: Stalled is True: OK: so it is\\u{1b}\n"
        );
        assert_eq!(
            report.table(true).lines().nth(1).unwrap(),
            "a        True     True     True       True       1 of 2     3              4           2"
        );
    }

    #[test]
    fn a_topology_that_was_not_judged_or_has_changed_since_is_unknown() {
        let table = report([("new", TopologyStatus::default()), ("other", judged("True", "Covered", 1))])
            .table(false);
        assert!(table.contains("\nnew    Unknown  Unknown  Unknown    Unknown\n"), "{table}");
        assert!(
            table.contains("new: Guarded is Unknown: NotJudged: no replica has judged this topology: run `lockstep serve`"),
            "{table}"
        );
        assert!(
            table.contains(
                "other: Guarded is Unknown: Outdated: the topology has changed since it was last judged\n"
            ),
            "{table}"
        );
    }

    #[test]
    fn a_cluster_without_topologies_is_reported() {
        assert!(report([]).table(false).starts_with("there is no GatewayTopology"));
    }

    #[test]
    fn the_document_has_a_version_and_every_condition_of_every_topology() {
        let document: Value =
            serde_json::from_str(&report([("a", judged("True", "Covered", 2))]).json().unwrap()).unwrap();
        let topology = &document["topologies"][0];
        assert_eq!(document["version"], 1);
        assert_eq!(
            (&topology["name"], &topology["guarded"], &topology["reason"], &topology["message"]),
            (&json!("a"), &json!("True"), &json!("Covered"), &json!("so it is\u{1b}"))
        );
        let kinds: Vec<&Value> =
            topology["conditions"].as_array().unwrap().iter().map(|condition| &condition["type"]).collect();
        assert_eq!(kinds, ["Guarded", "Aligned", "SourceIPPreserved", "Resilient"]);
        assert_eq!(topology["summary"]["servingNodes"], 2);
    }
}
