//! `external-traffic-policy`: the gateway's Services have `externalTrafficPolicy: Local`.
//!
//! Only what is reachable from outside may have the field at all: the API server refuses `Local` elsewhere,
//! and a policy forced on a Service that turns into `ClusterIP` would block that change and every later one
//! (Kubernetes 1.36, pkg/registry/core/service/strategy.go `dropTypeDependentFields`). The final type decides.

use super::Change;
use super::report::{Remark, Report};
use crate::facts::{Facts, Site};
use crate::field::FieldPath;
use crate::objects::{Object, Service, ServiceSpec};
use crate::text::excerpt;
use crate::topology::ServiceType;
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::ExternalTrafficPolicy;
const LOCAL: &str = "Local";

/// Sets the policy.
pub(super) fn make_local(change: &Change, service: &Service, facts: &Facts, report: &mut Report) {
    let Some((site, _)) = violated(change, service, facts).filter(|(site, _)| site.enforces(RULE)) else {
        return;
    };
    report.set(site, RULE, Reason::MadeLocal, field(), LOCAL.into());
    report.warn(site, RULE, Reason::MadeLocal, set_remark(site));
}

/// Refuses what still has another policy.
pub(super) fn check(change: &Change, service: &Service, facts: &Facts, report: &mut Report) {
    let Some((site, spec)) = violated(change, service, facts) else {
        return;
    };
    if is_unchanged(change, spec) {
        report.pass_with_warnings();
    }
    report.deny(site, RULE, Reason::NotLocal, remark(site, spec));
}

/// The topology and the spec, if the policy should be `Local` and is not.
///
/// Where several topologies claim the Service, they all ask for the same, so the strictest speaks.
fn violated<'a>(
    change: &Change,
    service: &'a Service,
    facts: &'a Facts,
) -> Option<(&'a Site, &'a ServiceSpec)> {
    if service.metadata.is_terminating {
        return None;
    }
    let spec = service.spec.as_ref().filter(|spec| spec.external_traffic_policy != LOCAL)?;
    let governing = facts.gateways_in(&change.namespace).filter(|site| is_governed(site, spec));
    Some((governing.max_by_key(|site| site.severity(RULE))?, spec))
}

/// Whether the topology asks for a policy on this Service.
fn is_governed(site: &Site, spec: &ServiceSpec) -> bool {
    let types = &site.spec.service.types;
    let is_external = match spec.kind.as_str() {
        "LoadBalancer" => types.contains(&ServiceType::LoadBalancer) && site.is_announced(spec),
        "NodePort" => types.contains(&ServiceType::NodePort),
        "" | "ClusterIP" => types.contains(&ServiceType::ClusterIP) && !spec.external_ips.is_empty(),
        _ => false,
    };
    is_external && site.is_behind(spec)
}

/// Whether an update leaves everything as it was that the rule looks at.
fn is_unchanged(change: &Change, spec: &ServiceSpec) -> bool {
    matches!(&change.old, Some(Object::Service(old)) if old.spec.as_ref() == Some(spec))
}

fn field() -> FieldPath {
    FieldPath::fields(["spec", "externalTrafficPolicy"])
}

fn remark(site: &Site, spec: &ServiceSpec) -> Remark {
    let found = match spec.external_traffic_policy.as_str() {
        "" => "is not set".to_owned(),
        other => format!("is `{}`", excerpt(other)),
    };
    Remark {
        field: field(),
        message: format!(
            "the Service sends traffic to the gateway of topology `{}` and its externalTrafficPolicy {found}: \
             kube-proxy would replace the client's source IP",
            site.name
        ),
        help: "set `spec.externalTrafficPolicy: Local`".to_owned(),
        ..Remark::default()
    }
}

fn set_remark(site: &Site) -> Remark {
    Remark {
        field: field(),
        message: format!(
            "externalTrafficPolicy was set to `Local` for the gateway of topology `{}`",
            site.name
        ),
        // Short enough for one warning header, with the value's name in it.
        help: "write it in the manifest, or in the Istio chart's value `service.externalTrafficPolicy`"
            .to_owned(),
        ..Remark::default()
    }
}
