//! One JSON document for programs. While `version` stays the same, fields keep their meaning, and new ones may be
//! added.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use smol_str::SmolStr;

use crate::assessment::Cause;
use crate::cli::check::remark::Remark;
use crate::cli::check_report::{CheckReport, JudgedObject, Placed};
use crate::cli::condition::TopologyCondition;
use crate::cli::output::json_document;
use crate::field::FieldPath;
use crate::labels::{Labels, Witness};
use crate::manifests::Problem;
use crate::verdict::{Edit, Finding};

/// The version of the document's schema.
const VERSION: u32 = 1;

/// Renders the report.
pub(in crate::cli) fn json(report: &CheckReport) -> serde_json::Result<String> {
    let document = Document {
        version: VERSION,
        topologies: report
            .topologies
            .iter()
            .map(|topology| Topology {
                name: &topology.state.name,
                cluster: topology.cluster.as_deref(),
                built_in: topology.is_built_in,
                covers: Covered {
                    services: topology.reach.services,
                    pods: topology.reach.pods,
                    pools: topology.reach.pools,
                    l2_advertisements: topology.reach.advertisements,
                    bgp_advertisements: topology.reach.bgp_advertisements,
                },
                conditions: topology.state.conditions().map(TopologyCondition::from).into(),
                findings: topology.state.findings.iter().map(cause).collect(),
            })
            .collect(),
        objects: report.judged.iter().map(object).collect(),
        problems: report.problems.iter().map(problem).collect(),
        remarks: report.remarks.iter().map(remark).collect(),
        summary: report.counts(),
    };
    json_document(&document)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'r, S> {
    version: u32,
    topologies: Vec<Topology<'r>>,
    objects: Vec<Object<'r>>,
    problems: Vec<Unusable<'r>>,
    remarks: Vec<Remarked<'r>>,
    summary: S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Topology<'r> {
    name: &'r str,
    cluster: Option<&'r str>,
    built_in: bool,
    covers: Covered,
    conditions: Vec<TopologyCondition>,
    findings: Vec<Found<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered {
    services: usize,
    pods: usize,
    pools: usize,
    l2_advertisements: usize,
    bgp_advertisements: usize,
}

#[derive(Serialize)]
struct Found<'r> {
    code: &'static str,
    message: &'r str,
    mend: &'r str,
}

#[derive(Serialize)]
struct Remarked<'r> {
    code: &'static str,
    level: &'static str,
    file: Option<&'r str>,
    line: Option<usize>,
    column: Option<usize>,
    message: &'r str,
    help: &'r str,
    proposal: &'r str,
}

#[derive(Serialize)]
struct Object<'r> {
    file: &'r str,
    line: usize,
    column: usize,
    kind: &'r str,
    namespace: &'r str,
    name: &'r str,
    verdict: &'static str,
    findings: Vec<Seen<'r>>,
    edits: Vec<Set<'r>>,
}

#[derive(Serialize)]
struct Seen<'r> {
    rule: &'static str,
    reason: &'static str,
    severity: &'static str,
    topology: &'r str,
    field: String,
    line: usize,
    column: usize,
    message: &'r str,
    help: &'r str,
    witness: Option<Proof<'r>>,
    nodes: &'r [String],
}

#[derive(Serialize)]
struct Proof<'r> {
    labels: &'r Labels,
    without: &'r BTreeSet<SmolStr>,
}

#[derive(Serialize)]
struct Set<'r> {
    rule: &'static str,
    reason: &'static str,
    topology: &'r str,
    field: String,
    pointer: String,
    value: &'r Value,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Unusable<'r> {
    file: &'r str,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

fn object(judged: &JudgedObject) -> Object<'_> {
    Object {
        file: judged.source.name(),
        line: judged.start.line,
        column: judged.start.column,
        kind: &judged.kind,
        namespace: &judged.namespace,
        name: &judged.name,
        verdict: judged.word,
        findings: judged.findings.iter().map(seen).collect(),
        edits: judged.edits.iter().map(set).collect(),
    }
}

fn seen(Placed { what, at, .. }: &Placed<Finding>) -> Seen<'_> {
    Seen {
        rule: what.rule.id(),
        reason: what.reason.code(),
        severity: what.severity.word(),
        topology: &what.topology,
        field: what.field.to_string(),
        line: at.line,
        column: at.column,
        message: &what.message,
        help: &what.help,
        witness: what.witness.as_ref().map(|Witness { labels, without }| Proof { labels, without }),
        nodes: &what.nodes,
    }
}

fn set(Placed { what, at, .. }: &Placed<Edit>) -> Set<'_> {
    Set {
        rule: what.rule.id(),
        reason: what.reason.code(),
        topology: &what.topology,
        field: what.field.to_string(),
        pointer: pointer(&what.field),
        value: &what.value,
        line: at.line,
        column: at.column,
    }
}

fn problem(problem: &Problem) -> Unusable<'_> {
    let at = problem.line_column();
    Unusable {
        file: &problem.file,
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        message: problem.error.to_string(),
    }
}

fn remark(remark: &Remark) -> Remarked<'_> {
    let at = remark.line_column();
    Remarked {
        code: remark.code.code(),
        level: remark.level.word(),
        file: remark.file.as_deref(),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        message: &remark.message,
        help: &remark.help,
        proposal: &remark.proposal,
    }
}

fn cause(cause: &Cause) -> Found<'_> {
    Found { code: cause.code.code(), message: &cause.message, mend: &cause.mend }
}

/// Returns the path as a JSON pointer (RFC 6901).
fn pointer(field: &FieldPath) -> String {
    field.tokens().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped() {
        let field = FieldPath::fields(["spec", "nodeSelector"]).key("a.b/c~d");
        assert_eq!(pointer(&field), "/spec/nodeSelector/a.b~1c~0d");
    }
}
