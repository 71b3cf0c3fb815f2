//! Workloads: a warning where their pods would be denied.
//!
//! Admission denies the pods of a workload when its controller creates them, which the user of the workload does not see. So
//! the creation and every update of the workload warn of it. They are never denied and never edited: a gateway that is
//! scaled to zero or paused may stay as it is, and a tool that compares manifests with the cluster sees no difference.

use super::builder::VerdictBuilder;
use super::{Change, gateway_placement, mutate, validate};
use crate::field::FieldPath;
use crate::objects::{Object, Pod, TemplatedWorkload};
use crate::snapshot::Snapshot;
use crate::verdict::{Finding, Severity, Verdict};

/// Warns of what the rules find in a pod that the workload creates.
pub(super) fn check(
    change: &Change,
    workload: &TemplatedWorkload,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    let Some(template) = &workload.spec.template else { return };
    if workload.metadata.is_terminating {
        return;
    }
    let root = FieldPath::fields(["spec", "template"]);
    for finding in judge_pod(change, template, snapshot).findings {
        let is_denied = finding.severity == Severity::Deny;
        let message = if is_denied {
            format!("its pods would be denied: {}", finding.message)
        } else {
            finding.message
        };
        verdict.adopt(Finding { message, field: root.clone().join(&finding.field), ..finding });
    }
}

/// The verdict on the creation of a pod: mutating admission edits it, and validating admission judges the result.
fn judge_pod(change: &Change, template: &Pod, snapshot: &Snapshot) -> Verdict {
    let owner = change.object.metadata();
    let prefix = if owner.name.is_empty() { owner.generate_name.clone() } else { format!("{}-", owner.name) };
    let create = |pod: &Pod| {
        let mut pod = pod.clone();
        pod.metadata.namespace.clone_from(&change.namespace);
        // The API server generates the name after admission.
        pod.metadata.name.clear();
        pod.metadata.generate_name = prefix.clone();
        Change { time: change.time, ..Change::create(change.namespace.as_str(), "", Object::Pod(pod)) }
    };
    let mutated = mutate(&create(template), snapshot);
    if mutated.is_denied() {
        return mutated;
    }
    validate(&create(&gateway_placement::placed(template.clone(), &mutated.edits)), snapshot)
}
