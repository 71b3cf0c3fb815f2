//! How rules collect what they see.

use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldPath;
use crate::labels::Witness;
use crate::snapshot::ResolvedTopology;
use crate::verdict::{Edit, Finding, Reason, Rule, Severity, Verdict};

/// A verdict in the making.
#[derive(Debug, Default)]
pub(super) struct Report {
    verdict: Verdict,
    passes: bool,
}

/// What a rule says about one field, before the topology's enforcement decides what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Remark {
    pub(super) field: FieldPath,
    pub(super) message: String,
    pub(super) help: String,
    pub(super) witness: Option<Witness>,
    pub(super) nodes: Vec<String>,
}

impl Report {
    /// From here on nothing is denied: the request changes nothing that the rule is about, and refusing it
    /// would lock labels, annotations and finalizers of objects that were there before the rule.
    pub(super) fn pass_with_warnings(&mut self) {
        self.passes = true;
    }

    /// The request is refused, if the topology enforces the rule.
    pub(super) fn deny(&mut self, topology: &ResolvedTopology, rule: Rule, reason: Reason, remark: Remark) {
        let severity = topology.severity(rule);
        let severity = if self.passes { severity.min(Severity::Warn) } else { severity };
        self.push(topology, rule, reason, severity, remark);
    }

    /// The user is warned, unless the topology only audits the rule.
    pub(super) fn warn(&mut self, topology: &ResolvedTopology, rule: Rule, reason: Reason, remark: Remark) {
        self.push(topology, rule, reason, topology.severity(rule).min(Severity::Warn), remark);
    }

    /// The field is set, if the topology enforces the rule. Where it does not, the validating side tells.
    pub(super) fn set(
        &mut self,
        topology: &ResolvedTopology,
        rule: Rule,
        reason: Reason,
        field: FieldPath,
        value: Value,
    ) {
        if topology.enforces(rule) {
            let topology = Arc::clone(&topology.name);
            self.verdict.edits.push(Edit { rule, topology, reason, field, value });
        }
    }

    fn push(
        &mut self,
        topology: &ResolvedTopology,
        rule: Rule,
        reason: Reason,
        severity: Severity,
        remark: Remark,
    ) {
        let Remark { field, message, help, witness, nodes } = remark;
        let topology = Arc::clone(&topology.name);
        self.verdict.findings.push(Finding {
            rule,
            topology,
            reason,
            severity,
            field,
            message,
            help,
            witness,
            nodes,
        });
    }

    pub(super) fn into_verdict(mut self) -> Verdict {
        if self.verdict.is_denied() {
            // Nothing is stored, so nothing is edited.
            self.verdict.edits.clear();
        }
        self.verdict
    }
}
