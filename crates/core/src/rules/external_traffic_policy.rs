//! The rule `external-traffic-policy`: the gateway's Services have `externalTrafficPolicy: Local`.
//!
//! Only Services that are reachable from outside may have the field. The API server rejects `Local` on any other
//! Service, and a policy set on a Service that becomes `ClusterIP` would block that change and every later one
//! (Kubernetes 1.36, pkg/registry/core/service/strategy.go `dropTypeDependentFields`). So the type after the change
//! decides.

mod shared_address;

use super::Change;
use super::builder::{Details, VerdictBuilder};
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::objects::{LoadBalancer, Object, Pod, Service, ServiceSpec};
use crate::snapshot::{ResolvedTopology, Snapshot};
use crate::topology::OnCluster;
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::ExternalTrafficPolicy;
const LOCAL: &str = "Local";

/// Sets the policy of a gateway Service to `Local`, unless MetalLB would take an address away from it then.
pub(super) fn make_local(
    change: &Change,
    service: &Service,
    balancer: &LoadBalancer,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    let Some((topology, spec)) =
        violated(change, service, snapshot).filter(|(topology, _)| topology.enforces(RULE))
    else {
        return;
    };
    if let Some(sharer) = shared_address::kept_from_local(change, service, balancer, snapshot) {
        return verdict.warn(topology, RULE, Reason::SharedAddress, shared_address::kept(&sharer));
    }
    if service.metadata.is_terminating && is_unchanged(change, spec) {
        return;
    }
    // Validation denies it, or names the exception.
    if topology.spec.service.on_cluster == OnCluster::Deny || verdict.exception(topology, RULE).is_some() {
        return;
    }
    verdict.set(topology, RULE, Reason::MadeLocal, field(), LOCAL.into());
    verdict.warn(topology, RULE, Reason::MadeLocal, local_details(topology));
}

/// Denies a gateway Service with another policy, and a change to `Local` that costs a shared address.
pub(super) fn check(
    change: &Change,
    service: &Service,
    balancer: &LoadBalancer,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    let Some((topology, spec)) = violated(change, service, snapshot) else {
        return shared_address::check(change, service, balancer, snapshot, verdict);
    };
    if service.metadata.is_terminating && is_unchanged(change, spec) {
        return;
    }
    let is_kept = || shared_address::kept_from_local(change, service, balancer, snapshot).is_some();
    if is_unchanged(change, spec) || is_kept() {
        verdict.warn_only();
    }
    verdict.deny(topology, RULE, Reason::NotLocal, details(topology, spec));
}

/// Denies a pod that would put the gateway behind a Service that is not `Local`: a new pod, or one with new labels.
pub(super) fn check_pod(change: &Change, pod: &Pod, snapshot: &Snapshot, verdict: &mut VerdictBuilder<'_>) {
    let labels = &pod.metadata.labels;
    if matches!(&change.old, Some(Object::Pod(old)) if old.metadata.labels == *labels) {
        return;
    }
    for topology in snapshot.claims(&change.namespace, labels) {
        if let Some(service) = topology.exposing(labels) {
            verdict.deny(topology, RULE, Reason::NotLocal, exposing_details(topology, service));
        }
    }
}

/// Returns the topology and the spec, if the policy should be `Local` and is not.
///
/// If several topologies claim the Service, all require the same policy, so the strictest one determines the severity.
/// A Service that is being deleted still serves until its finalizers are gone.
fn violated<'a>(
    change: &Change,
    service: &'a Service,
    snapshot: &'a Snapshot,
) -> Option<(&'a ResolvedTopology, &'a ServiceSpec)> {
    let spec = service.spec.as_ref().filter(|spec| !spec.is_local())?;
    Some((governing(change, spec, snapshot)?, spec))
}

/// The strictest topology that requires a policy of this Service.
fn governing<'a>(
    change: &Change,
    spec: &ServiceSpec,
    snapshot: &'a Snapshot,
) -> Option<&'a ResolvedTopology> {
    let governing = snapshot
        .gateways_in(&change.namespace)
        .filter(|topology| topology.requires_local(spec) && snapshot.leads_to(topology, &change.key(), spec));
    governing.max_by_key(|topology| topology.severity(RULE))
}

/// Whether an update changes nothing that the rule judges.
fn is_unchanged(change: &Change, spec: &ServiceSpec) -> bool {
    matches!(&change.old, Some(Object::Service(old, _)) if old.spec.as_ref() == Some(spec))
}

fn field() -> FieldPath {
    FieldPath::fields(["spec", "externalTrafficPolicy"])
}

fn details(topology: &ResolvedTopology, spec: &ServiceSpec) -> Details {
    let found = match spec.external_traffic_policy.as_str() {
        "" => "is not set".to_owned(),
        other => format!("is `{}`", excerpt(other)),
    };
    Details {
        field: field(),
        message: format!(
            "the Service sends traffic to the gateway of topology `{}` and its externalTrafficPolicy {found}: \
             kube-proxy would replace the client's source IP",
            topology.name
        ),
        help: "set `spec.externalTrafficPolicy: Local`".to_owned(),
        ..Details::default()
    }
}

fn exposing_details(topology: &ResolvedTopology, service: &str) -> Details {
    let service = excerpt(service);
    Details {
        field: FieldPath::fields(["metadata", "labels"]),
        message: format!(
            "the pod's labels put the gateway of topology `{}` behind Service `{service}`, whose externalTrafficPolicy is not \
             `Local`: kube-proxy would replace the client's source IP",
            topology.name
        ),
        help: format!("set `spec.externalTrafficPolicy: Local` in Service `{service}` first"),
        ..Details::default()
    }
}

fn local_details(topology: &ResolvedTopology) -> Details {
    Details {
        field: field(),
        message: format!(
            "admission sets externalTrafficPolicy to `Local` for the gateway of topology `{}`",
            topology.name
        ),
        // The text must fit into one warning header, including the chart's value.
        help: "set it in the manifest, or by the Istio chart's value `service.externalTrafficPolicy`"
            .to_owned(),
        ..Details::default()
    }
}
