//! DaemonSets. The controller schedules by the template and pins each pod to its node before the pod is admitted, so a
//! placement in the pods alone would leave a pod Pending for every other node.

use super::{PodAt, claiming};
use crate::change::Change;
use crate::field::FieldPath;
use crate::objects::{DaemonSet, Object, Pod};
use crate::rules::builder::VerdictBuilder;
use crate::snapshot::{ResolvedTopology, Snapshot};

/// Adds the placement to the template of a DaemonSet with gateway pods.
pub(in crate::rules) fn place_template(
    change: &Change,
    daemon_set: &DaemonSet,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    // Patching a template that the request does not change would restart the pods of a running gateway after a change
    // of a label on its DaemonSet.
    if !is_settled(change, daemon_set) {
        judge(change, daemon_set, snapshot, verdict, PodAt::place);
    }
}

/// Denies a template without the placement.
pub(in crate::rules) fn check_template(
    change: &Change,
    daemon_set: &DaemonSet,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    if is_settled(change, daemon_set) {
        verdict.warn_only();
    }
    judge(change, daemon_set, snapshot, verdict, PodAt::check_placed);
}

fn judge<'d>(
    change: &Change,
    daemon_set: &'d DaemonSet,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
    judge_placement: fn(&PodAt<'d>, &ResolvedTopology, &mut VerdictBuilder<'_>),
) {
    let Some(pod) = template(daemon_set) else { return };
    let Some(topology) = claiming(change, pod, snapshot, verdict) else { return };
    let at = PodAt { pod, root: FieldPath::fields(["spec", "template"]), is_template: true };
    judge_placement(&at, topology, verdict);
    at.check_reachable(topology, snapshot, verdict);
}

/// Whether the request changes nothing in the template that the rule judges, or the DaemonSet is being deleted.
fn is_settled(change: &Change, daemon_set: &DaemonSet) -> bool {
    let is_unchanged =
        |old: &Object| matches!(old, Object::DaemonSet(old) if template(old) == template(daemon_set));
    daemon_set.metadata.is_terminating || change.old.as_ref().is_some_and(is_unchanged)
}

fn template(daemon_set: &DaemonSet) -> Option<&Pod> {
    daemon_set.spec.as_ref().map(|spec| &spec.template)
}
