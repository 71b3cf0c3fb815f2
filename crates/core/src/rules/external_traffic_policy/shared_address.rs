//! Services that share an address: MetalLB takes it away from one that alone turns to `Local`.
//!
//! MetalLB compares the policy, and with `Local` the selector, of Services before it lets them share an address (`k8salloc`'s
//! `BackendKey`), and its controller releases the address of a Service that no longer agrees with the others
//! (`convergeBalancer`, controller/service.go).

use super::{LOCAL, RULE, field, governing};
use crate::change::Change;
use crate::election::{disagreeing_sharer, sharing_key};
use crate::escape::excerpt;
use crate::objects::{LoadBalancer, Object, Service, ServiceSpec};
use crate::rules::builder::{Details, VerdictBuilder};
use crate::snapshot::{ObjectKey, Snapshot};
use crate::topology::ValidationAction;
use crate::verdict::Reason;

/// The other Service for which a Service is not made `Local`.
pub(super) enum Sharer {
    /// Another Service has the address, and would disagree.
    Known(ObjectKey),
    /// The Service may share its address with one that is not read.
    Unread,
}

/// The reason not to set the policy of a stored Service to `Local`: it has an address that it shares, or may share. One that was
/// `Local` before goes back to what MetalLB knows.
pub(super) fn kept_from_local(
    change: &Change,
    service: &Service,
    balancer: &LoadBalancer,
    snapshot: &Snapshot,
) -> Option<Sharer> {
    if was_local(change)? || !has_shared_address(balancer) {
        return None;
    }
    Some(disagreeing(change, service, balancer, snapshot).map_or(Sharer::Unread, Sharer::Known))
}

/// Denies a change to `Local` for which MetalLB would take the address away.
pub(super) fn check(
    change: &Change,
    service: &Service,
    balancer: &LoadBalancer,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    let Some(spec) = service.spec.as_ref().filter(|_| was_local(change) == Some(false)) else { return };
    if !has_shared_address(balancer) {
        return;
    }
    let Some(topology) = governing(change, spec, snapshot) else { return };
    let Some(sharer) = disagreeing(change, service, balancer, snapshot) else { return };
    let details = Details {
        field: field(),
        message: format!(
            "the Service shares its address with `{}`, whose policy or selector differs: MetalLB would take the address away \
             from the Service that alone turns to `Local`",
            excerpt(&format!("{}/{}", sharer.namespace, sharer.name))
        ),
        help: "give the Service an address of its own first; `spec.service.sharedIP: Warn` of the topology allows the change"
            .to_owned(),
        ..Details::default()
    };
    match topology.spec.service.shared_ip {
        ValidationAction::Deny => verdict.deny(topology, RULE, Reason::SharedAddress, details),
        ValidationAction::Warn => verdict.warn(topology, RULE, Reason::SharedAddress, details),
    }
}

/// Whether the stored Service is `Local`; `None` for a new one, which has no address yet.
fn was_local(change: &Change) -> Option<bool> {
    match &change.old {
        Some(Object::Service(old, _)) => Some(old.spec.as_ref().is_some_and(ServiceSpec::is_local)),
        _ => None,
    }
}

fn has_shared_address(balancer: &LoadBalancer) -> bool {
    sharing_key(balancer, false).is_some() && balancer.ingress.iter().any(|entry| !entry.ip.is_empty())
}

/// The Service that has the same address and would not share it with this one, once this one is `Local`.
fn disagreeing(
    change: &Change,
    service: &Service,
    balancer: &LoadBalancer,
    snapshot: &Snapshot,
) -> Option<ObjectKey> {
    let inventory = &snapshot.state()?.inventory;
    let mut local = service.clone();
    if let Some(spec) = &mut local.spec {
        LOCAL.clone_into(&mut spec.external_traffic_policy);
    }
    disagreeing_sharer(inventory, &change.key(), (&local, balancer)).cloned()
}

/// The warning on a Service that admission leaves as it is.
pub(super) fn kept(sharer: &Sharer) -> Details {
    // The text must fit into one warning header.
    let (message, help) = match sharer {
        Sharer::Known(key) => (
            format!(
                "admission does not set `Local`: the Service shares its address with `{}`, and MetalLB would take it away",
                excerpt(&format!("{}/{}", key.namespace, key.name))
            ),
            "give the Service an address of its own",
        ),
        Sharer::Unread => (
            "admission does not set `Local`: the Service may share its address (`allow-shared-ip`), and MetalLB would take it away"
                .to_owned(),
            "remove the annotation, or set `Local` yourself",
        ),
    };
    Details { field: field(), message, help: help.to_owned(), ..Details::default() }
}
