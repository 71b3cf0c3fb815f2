//! The report of `lockstep status`, as a table and as JSON.

use std::cmp::max;

use serde::Serialize;

use crate::cli::output::json_document;
use crate::cli::render::printable;
use crate::cluster::topology_status::{TopologyStatus, TopologyStatuses};
use crate::topology::GUARDED;

/// The version of the JSON document.
const VERSION: u32 = 1;

const HEADS: [&str; 3] = ["NAME", "GUARDED", "REASON"];

/// The rows of all topologies. New fields may be added without a new `version`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    topologies: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `True`, `False`, or `Unknown` while no replica has judged the current generation of the topology.
    guarded: String,
    reason: String,
    message: String,
}

impl Report {
    pub(super) fn new(topologies: &TopologyStatuses) -> Self {
        let rows = topologies.iter().map(|(name, topology)| Row::new(name, topology));
        Self { version: VERSION, topologies: rows.collect() }
    }

    /// Whether there is a topology, and all topologies are guarded.
    pub(super) fn is_guarded(&self) -> bool {
        !self.topologies.is_empty() && self.topologies.iter().all(|row| row.guarded == "True")
    }

    pub(super) fn table(&self) -> String {
        if self.topologies.is_empty() {
            return "there is no GatewayTopology in the cluster, so nothing is guarded: create one\n"
                .to_owned();
        }
        let heads = HEADS.map(str::len);
        let [name, guarded, reason] = self.topologies.iter().fold(heads, |widths, row| {
            let [name, guarded, reason] = widths;
            [max(name, row.name.len()), max(guarded, row.guarded.len()), max(reason, row.reason.len())]
        });
        let line = |cells: [&str; 3], message: &str| {
            let [first, second, third] = cells;
            format!("{first:name$}  {second:guarded$}  {third:reason$}  {}\n", printable(message))
        };
        let rows =
            self.topologies.iter().map(|row| line([&row.name, &row.guarded, &row.reason], &row.message));
        std::iter::once(line(HEADS, "MESSAGE")).chain(rows).collect()
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        json_document(self)
    }
}

impl Row {
    fn new(name: &str, topology: &TopologyStatus) -> Self {
        let row = |guarded: &str, reason: &str, message: &str| Self {
            name: name.to_owned(),
            guarded: guarded.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        match topology.status.condition(GUARDED) {
            None => row(
                "Unknown",
                "NotJudged",
                "no replica has judged this topology: run `lockstep serve` with `--webhook-configuration`",
            ),
            Some(condition) if condition.observed_generation != Some(topology.generation) => {
                row("Unknown", "Outdated", "the topology has changed since it was last judged")
            }
            Some(condition) => row(&condition.status, &condition.reason, &condition.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A topology of generation 2 with a condition of the generation `observed`.
    fn reported(status: &str, reason: &str, observed: i64) -> TopologyStatus {
        let status = json!({"conditions": [{
            "type": "Guarded", "status": status, "reason": reason, "message": "so it is\u{1b}",
            "observedGeneration": observed, "lastTransitionTime": "2026-11-22T20:00:00Z",
        }]});
        TopologyStatus { generation: 2, status: serde_json::from_value(status).unwrap() }
    }

    fn report<const N: usize>(topologies: [(&str, TopologyStatus); N]) -> Report {
        Report::new(&topologies.map(|(name, topology)| (name.to_owned(), topology)).into())
    }

    #[test]
    fn the_report_is_guarded_if_there_is_a_topology_and_all_are_guarded() {
        let guarded = || reported("True", "Covered", 2);
        assert!(report([("a", guarded())]).is_guarded());
        assert!(!report([]).is_guarded());
        for other in
            [reported("False", "FailsOpen", 2), reported("True", "Covered", 1), TopologyStatus::default()]
        {
            assert!(!report([("a", guarded()), ("b", other)]).is_guarded());
        }
    }

    #[test]
    fn the_table_is_aligned_and_escapes_control_characters() {
        let report = report([
            ("a", reported("True", "Covered", 2)),
            ("ingress", reported("False", "FailsOpen", 2)),
            ("new", TopologyStatus::default()),
            ("other", reported("True", "Covered", 1)),
        ]);
        assert_eq!(
            report.table(),
            "NAME     GUARDED  REASON     MESSAGE\n\
             a        True     Covered    so it is\\u{1b}\n\
             ingress  False    FailsOpen  so it is\\u{1b}\n\
             new      Unknown  NotJudged  no replica has judged this topology: run `lockstep serve` with `--webhook-configuration`\n\
             other    Unknown  Outdated   the topology has changed since it was last judged\n"
        );
    }

    #[test]
    fn a_cluster_without_topologies_is_reported() {
        assert!(report([]).table().starts_with("there is no GatewayTopology"));
    }

    #[test]
    fn the_document_has_a_version_and_every_topology() {
        let document: Value =
            serde_json::from_str(&report([("a", reported("True", "Covered", 2))]).json().unwrap()).unwrap();
        let row = json!({"name": "a", "guarded": "True", "reason": "Covered", "message": "so it is\u{1b}"});
        assert_eq!(document, json!({"version": 1, "topologies": [row]}));
    }
}
