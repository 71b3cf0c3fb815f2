//! The rules: pure functions from a change and the snapshot to a verdict.
//!
//! Invariants: a rule knows no clock, file, network, log or metric; it is total, and what it decides is
//! returned as values. The webhook, `check` and every other caller go through [`mutate`] and [`validate`],
//! so that all of them say the same.

mod announcement_placement;
mod external_traffic_policy;
mod gateway_placement;
mod report;
#[cfg(test)]
mod tests;
mod text;

pub use crate::change::{Change, Operation, Phase};

use crate::objects::Object;
use crate::snapshot::Snapshot;
use crate::verdict::Verdict;
use report::Report;

/// The verdict on `change` in one phase: the one door to the rules.
#[must_use]
pub fn judge(change: &Change, phase: Phase, snapshot: &Snapshot) -> Verdict {
    match phase {
        Phase::Mutate => mutate(change, snapshot),
        Phase::Validate => validate(change, snapshot),
    }
}

/// What must be changed in the object before it is stored, and what cannot be mended by a change.
#[must_use]
pub fn mutate(change: &Change, snapshot: &Snapshot) -> Verdict {
    let mut report = Report::default();
    if !change.is_out_of_scope() {
        match &change.object {
            Object::Pod(pod) => gateway_placement::place_pod(change, pod, snapshot, &mut report),
            Object::DaemonSet(daemon_set) => {
                gateway_placement::place_template(change, daemon_set, snapshot, &mut report);
            }
            Object::Service(service) => {
                external_traffic_policy::make_local(change, service, snapshot, &mut report);
            }
            Object::L2Advertisement(_) => {}
        }
    }
    report.into_verdict()
}

/// Whether the object may be stored as it is, after every mutation.
#[must_use]
pub fn validate(change: &Change, snapshot: &Snapshot) -> Verdict {
    let mut report = Report::default();
    if !change.is_out_of_scope() {
        match &change.object {
            Object::Pod(pod) => gateway_placement::check_pod(change, pod, snapshot, &mut report),
            Object::DaemonSet(daemon_set) => {
                gateway_placement::check_template(change, daemon_set, snapshot, &mut report);
            }
            Object::Service(service) => {
                external_traffic_policy::check(change, service, snapshot, &mut report);
            }
            Object::L2Advertisement(new) => announcement_placement::check(change, new, snapshot, &mut report),
        }
    }
    report.into_verdict()
}
