//! The rule `external-traffic-policy`: the gateway's Services have `externalTrafficPolicy: Local`.
//!
//! Only Services that are reachable from outside may have the field. The API server rejects `Local` on any other
//! Service, and a policy set on a Service that becomes `ClusterIP` would block that change and every later one
//! (Kubernetes 1.36, pkg/registry/core/service/strategy.go `dropTypeDependentFields`). So the type after the change
//! decides.

use super::Change;
use super::builder::{Details, VerdictBuilder};
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::objects::{Object, Service, ServiceSpec};
use crate::snapshot::{ResolvedTopology, Snapshot};
use crate::topology::ServiceType;
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::ExternalTrafficPolicy;
const LOCAL: &str = "Local";

/// Sets the policy of a gateway Service to `Local`.
pub(super) fn make_local(
    change: &Change,
    service: &Service,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder,
) {
    let Some((topology, _)) =
        violated(change, service, snapshot).filter(|(topology, _)| topology.enforces(RULE))
    else {
        return;
    };
    verdict.set(topology, RULE, Reason::MadeLocal, field(), LOCAL.into());
    verdict.warn(topology, RULE, Reason::MadeLocal, local_details(topology));
}

/// Denies a gateway Service with another policy.
pub(super) fn check(change: &Change, service: &Service, snapshot: &Snapshot, verdict: &mut VerdictBuilder) {
    let Some((topology, spec)) = violated(change, service, snapshot) else {
        return;
    };
    if is_unchanged(change, spec) {
        verdict.warn_only();
    }
    verdict.deny(topology, RULE, Reason::NotLocal, details(topology, spec));
}

/// Returns the topology and the spec, if the policy should be `Local` and is not.
///
/// If several topologies claim the Service, all require the same policy, so the strictest one determines the severity.
fn violated<'a>(
    change: &Change,
    service: &'a Service,
    snapshot: &'a Snapshot,
) -> Option<(&'a ResolvedTopology, &'a ServiceSpec)> {
    if service.metadata.is_terminating {
        return None;
    }
    let spec = service.spec.as_ref().filter(|spec| spec.external_traffic_policy != LOCAL)?;
    let governing = snapshot.gateways_in(&change.namespace).filter(|topology| is_governed(topology, spec));
    Some((governing.max_by_key(|topology| topology.severity(RULE))?, spec))
}

/// Whether the topology requires a policy of this Service.
fn is_governed(topology: &ResolvedTopology, spec: &ServiceSpec) -> bool {
    let types = &topology.spec.service.types;
    let is_external = match spec.kind.as_str() {
        "LoadBalancer" => types.contains(&ServiceType::LoadBalancer) && topology.is_announced(spec),
        "NodePort" => types.contains(&ServiceType::NodePort),
        "" | "ClusterIP" => types.contains(&ServiceType::ClusterIP) && !spec.external_ips.is_empty(),
        _ => false,
    };
    is_external && topology.is_behind(spec)
}

/// Whether an update changes nothing that the rule judges.
fn is_unchanged(change: &Change, spec: &ServiceSpec) -> bool {
    matches!(&change.old, Some(Object::Service(old)) if old.spec.as_ref() == Some(spec))
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
