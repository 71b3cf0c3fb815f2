//! The builder of a verdict: rules add findings and edits, and the topology's enforcement determines their severity.

use std::sync::Arc;

use serde_json::Value;

use crate::change::Change;
use crate::field::FieldPath;
use crate::labels::Witness;
use crate::snapshot::ResolvedTopology;
use crate::topology::Exception;
use crate::verdict::{Edit, Finding, Reason, Rule, Severity, Verdict};

/// A verdict under construction.
#[derive(Debug)]
pub(super) struct VerdictBuilder<'c> {
    change: &'c Change,
    verdict: Verdict,
    denies_nothing: bool,
}

/// The part of a finding that its rule sets: the field, the message, what to do, and the proof.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) field: FieldPath,
    pub(super) message: String,
    pub(super) help: String,
    pub(super) witness: Option<Witness>,
    pub(super) nodes: Vec<String>,
    /// The end of the message that names current nodes.
    pub(super) today: String,
}

impl<'c> VerdictBuilder<'c> {
    pub(super) fn new(change: &'c Change) -> Self {
        Self { change, verdict: Verdict::default(), denies_nothing: false }
    }

    /// The exception of the topology that lifts the rule for the object. Where the time of the change is not known, an exception
    /// with an end counts as ended.
    pub(super) fn exception<'t>(&self, topology: &'t ResolvedTopology, rule: Rule) -> Option<&'t Exception> {
        let Change { namespace, name, object, time, .. } = self.change;
        let lasts = |exception: &Exception| match time {
            Some(time) => !exception.has_ended(*time),
            None => exception.until.is_none(),
        };
        let generate_name = &object.metadata().generate_name;
        let mut exceptions = topology.spec.exceptions.iter();
        exceptions.find(|exception| {
            exception.is_for(rule, object.kind(), namespace, name, generate_name) && lasts(exception)
        })
    }

    /// Turns every later denial into a warning, for requests that change nothing that the rule judges. Rejecting them
    /// would block changes of labels, annotations and finalizers of objects that are older than the rule.
    pub(super) fn warn_only(&mut self) {
        self.denies_nothing = true;
    }

    /// Adds a finding that denies the request, if the topology enforces the rule.
    pub(super) fn deny(&mut self, topology: &ResolvedTopology, rule: Rule, reason: Reason, details: Details) {
        let severity = topology.severity(rule);
        let severity = if self.denies_nothing { severity.min(Severity::Warn) } else { severity };
        match self.exception(topology, rule).filter(|_| severity == Severity::Deny) {
            Some(exception) => {
                // The exception comes first: a warning header holds 256 bytes.
                let until =
                    exception.until.as_ref().map(|until| format!(" until {}", until.0)).unwrap_or_default();
                let message = format!(
                    "an exception of topology `{}`{until} allows: {}",
                    topology.name, details.message
                );
                let details = Details { message, ..details };
                self.push(topology, rule, reason, Severity::Warn, details);
                if let Some(finding) = self.verdict.findings.last_mut() {
                    finding.exception = Some(exception.to_string());
                }
            }
            None => self.push(topology, rule, reason, severity, details),
        }
    }

    /// Adds a finding that warns the user, unless the topology only audits the rule.
    pub(super) fn warn(&mut self, topology: &ResolvedTopology, rule: Rule, reason: Reason, details: Details) {
        self.push(topology, rule, reason, topology.severity(rule).min(Severity::Warn), details);
    }

    /// Adds an edit of the field, if the topology enforces the rule. Otherwise validation reports the finding.
    pub(super) fn set(
        &mut self,
        topology: &ResolvedTopology,
        rule: Rule,
        reason: Reason,
        field: FieldPath,
        value: Value,
    ) {
        if topology.enforces(rule) && self.exception(topology, rule).is_none() {
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
        details: Details,
    ) {
        let Details { field, message, help, witness, nodes, today } = details;
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
            today,
            exception: None,
        });
    }

    /// Adds a finding of another verdict. It warns at most.
    pub(super) fn adopt(&mut self, finding: Finding) {
        let severity = finding.severity.min(Severity::Warn);
        self.verdict.findings.push(Finding { severity, ..finding });
    }

    /// Whether a finding denies the request.
    pub(super) fn denies(&self) -> bool {
        self.verdict.is_denied()
    }

    pub(super) fn into_verdict(mut self) -> Verdict {
        if self.verdict.is_denied() {
            // After a denial the API server stores nothing, so there must be no edits.
            self.verdict.edits.clear();
        }
        self.verdict
    }
}
