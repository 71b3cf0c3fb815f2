//! `DaemonSets`: their controller plans from the template and pins every pod to its node before the pod is
//! admitted, so a placement that only the pods had would leave pods pending on every other node.

use super::{PodAt, claiming};
use crate::change::Change;
use crate::facts::Facts;
use crate::field::FieldPath;
use crate::objects::{DaemonSet, Object, Pod};
use crate::rules::report::Report;

/// Adds the placement to the template.
pub(in crate::rules) fn place_template(
    change: &Change,
    daemon_set: &DaemonSet,
    facts: &Facts,
    report: &mut Report,
) {
    let Some(template) = template(daemon_set) else {
        return;
    };
    // Patching a template that the request does not touch would restart the pods of a running gateway
    // because of a label on its DaemonSet.
    if daemon_set.metadata.is_terminating || is_unchanged(change, template) {
        return;
    }
    let Some(site) = claiming(change, template, facts, report) else {
        return;
    };
    let at = at(template);
    at.place(site, report);
    at.check_reachable(site, facts, report);
}

/// Refuses a template without the placement.
pub(in crate::rules) fn check_template(
    change: &Change,
    daemon_set: &DaemonSet,
    facts: &Facts,
    report: &mut Report,
) {
    let Some(template) = template(daemon_set) else {
        return;
    };
    if daemon_set.metadata.is_terminating || is_unchanged(change, template) {
        report.pass_with_warnings();
    }
    let Some(site) = claiming(change, template, facts, report) else {
        return;
    };
    let at = at(template);
    at.check_placed(site, report);
    at.check_reachable(site, facts, report);
}

fn template(daemon_set: &DaemonSet) -> Option<&Pod> {
    daemon_set.spec.as_ref().map(|spec| &spec.template)
}

fn at(template: &Pod) -> PodAt<'_> {
    PodAt { pod: template, root: FieldPath::fields(["spec", "template"]), is_template: true }
}

/// Whether an update leaves everything in the template as it was that the rule looks at.
fn is_unchanged(change: &Change, new: &Pod) -> bool {
    matches!(&change.old, Some(Object::DaemonSet(old)) if template(old) == Some(new))
}
