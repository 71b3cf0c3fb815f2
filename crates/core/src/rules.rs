//! The rules: pure functions from a change and a snapshot to a verdict.
//!
//! Invariants: a rule is total, and returns its decisions as values. The webhook, `check` and every other caller use
//! [`judge`], so that all of them give the same verdict.

mod address_preservation;
mod announcement_placement;
mod builder;
mod external_traffic_policy;
mod gateway_placement;
#[cfg(test)]
mod tests;
mod workload;

pub use crate::change::{Change, Operation, Phase};

use crate::objects::Object;
use crate::snapshot::Snapshot;
use crate::verdict::Verdict;
use builder::VerdictBuilder;

/// Judges `change` in one phase.
#[must_use]
pub fn judge(change: &Change, phase: Phase, snapshot: &Snapshot) -> Verdict {
    match phase {
        Phase::Mutate => mutate(change, snapshot),
        Phase::Validate => validate(change, snapshot),
    }
}

/// The number of comparisons from which a judgement is heavy. They take some 30 ns each.
const HEAVY: usize = 10_000;

/// Whether judging `change` may take more than a fraction of a millisecond, so that it must not delay other reviews.
///
/// The numbers that the rules of MetalLB's kinds compare are multiplied, and nothing is compared. A large state that is
/// assessed is heavy, too.
#[must_use]
pub fn is_heavy(change: &Change, snapshot: &Snapshot) -> bool {
    if address_preservation::is_heavy(change, snapshot) {
        return true;
    }
    let own = match &change.object {
        Object::Pod(_) | Object::DaemonSet(_) | Object::Service(..) | Object::Workload(..) => return false,
        Object::L2Advertisement(new) => {
            let spec = &new.spec;
            [spec.node_selectors.len(), spec.service_selectors.len(), spec.pool_selectors.len()]
        }
        Object::BgpAdvertisement(new) => {
            let spec = &new.spec;
            [spec.node_selectors.len(), spec.service_selectors.len(), spec.pool_selectors.len()]
        }
        Object::IpAddressPool(_) | Object::AddressPool(_) => [0; 3],
    };
    let own = own.into_iter().fold(1, usize::saturating_add);
    let comparisons = snapshot.announced_from(&change.namespace).fold(0, |sum: usize, topology| {
        let others = topology.pools.iter().map(|pool| pool.advertisements.len());
        let selectors = others.fold(own, usize::saturating_add);
        let compared = [topology.services.len(), topology.pools.len(), snapshot.nodes().len()];
        let compared = compared.into_iter().fold(1, usize::saturating_add);
        sum.saturating_add(selectors.saturating_mul(compared))
    });
    comparisons > HEAVY
}

/// Judges `change` in mutating admission: edits of the object, and findings that no edit can fix.
#[must_use]
pub fn mutate(change: &Change, snapshot: &Snapshot) -> Verdict {
    let mut verdict = VerdictBuilder::new(change);
    if change.stores() {
        match &change.object {
            Object::Pod(pod) => gateway_placement::place_pod(change, pod, snapshot, &mut verdict),
            Object::DaemonSet(daemon_set) => {
                gateway_placement::place_template(change, daemon_set, snapshot, &mut verdict);
            }
            Object::Service(service, balancer) => {
                external_traffic_policy::make_local(change, service, balancer, snapshot, &mut verdict);
            }
            Object::L2Advertisement(_)
            | Object::BgpAdvertisement(_)
            | Object::IpAddressPool(_)
            | Object::AddressPool(_)
            | Object::Workload(..) => {}
        }
    }
    verdict.into_verdict()
}

/// Judges `change` in validating admission: whether the API server may store the object after all mutations.
#[must_use]
pub fn validate(change: &Change, snapshot: &Snapshot) -> Verdict {
    let mut verdict = VerdictBuilder::new(change);
    if change.stores() {
        match &change.object {
            Object::Pod(pod) => {
                gateway_placement::check_pod(change, pod, snapshot, &mut verdict);
                external_traffic_policy::check_pod(change, pod, snapshot, &mut verdict);
            }
            Object::DaemonSet(daemon_set) => {
                gateway_placement::check_template(change, daemon_set, snapshot, &mut verdict);
            }
            Object::Service(service, balancer) => {
                external_traffic_policy::check(change, service, balancer, snapshot, &mut verdict);
            }
            Object::L2Advertisement(new) => {
                announcement_placement::check(change, new, snapshot, &mut verdict);
            }
            Object::BgpAdvertisement(new) => {
                announcement_placement::check_bgp(change, new, snapshot, &mut verdict);
            }
            Object::Workload(_, workload) => workload::check(change, workload, snapshot, &mut verdict),
            Object::IpAddressPool(_) | Object::AddressPool(_) => {}
        }
    }
    // What is denied for its own sake is not assessed, too.
    if !verdict.denies() {
        address_preservation::check(change, snapshot, &mut verdict);
    }
    verdict.into_verdict()
}
