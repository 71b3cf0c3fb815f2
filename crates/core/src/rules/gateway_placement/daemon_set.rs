//! `DaemonSets`: their controller plans from the template and pins every pod to its node before the pod is
//! admitted, so a placement that only the pods had would leave pods pending on every other node.

use super::{PodAt, claiming};
use crate::change::Change;
use crate::field::FieldPath;
use crate::objects::{DaemonSet, Object, Pod};
use crate::rules::report::Report;
use crate::snapshot::{ResolvedTopology, Snapshot};

/// Adds the placement to the template.
pub(in crate::rules) fn place_template(
    change: &Change,
    daemon_set: &DaemonSet,
    snapshot: &Snapshot,
    report: &mut Report,
) {
    // Patching a template that the request does not touch would restart the pods of a running gateway
    // because of a label on its DaemonSet.
    if !is_settled(change, daemon_set) {
        judge(change, daemon_set, snapshot, report, PodAt::place);
    }
}

/// Refuses a template without the placement.
pub(in crate::rules) fn check_template(
    change: &Change,
    daemon_set: &DaemonSet,
    snapshot: &Snapshot,
    report: &mut Report,
) {
    if is_settled(change, daemon_set) {
        report.pass_with_warnings();
    }
    judge(change, daemon_set, snapshot, report, PodAt::check_placed);
}

fn judge<'d>(
    change: &Change,
    daemon_set: &'d DaemonSet,
    snapshot: &Snapshot,
    report: &mut Report,
    judge_placement: fn(&PodAt<'d>, &ResolvedTopology, &mut Report),
) {
    let Some(pod) = template(daemon_set) else { return };
    let Some(topology) = claiming(change, pod, snapshot, report) else { return };
    let at = PodAt { pod, root: FieldPath::fields(["spec", "template"]), is_template: true };
    judge_placement(&at, topology, report);
    at.check_reachable(topology, snapshot, report);
}

/// Whether the request leaves everything in the template as it was that the rule looks at, or the end has begun.
fn is_settled(change: &Change, daemon_set: &DaemonSet) -> bool {
    let is_unchanged =
        |old: &Object| matches!(old, Object::DaemonSet(old) if template(old) == template(daemon_set));
    daemon_set.metadata.is_terminating || change.old.as_ref().is_some_and(is_unchanged)
}

fn template(daemon_set: &DaemonSet) -> Option<&Pod> {
    daemon_set.spec.as_ref().map(|spec| &spec.template)
}
