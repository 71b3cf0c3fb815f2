//! The fields of a Service that MetalLB uses to assign addresses, and the assigned addresses.

use serde::Deserialize;
use smol_str::SmolStr;

use super::metadata::is_metallbs;
use crate::labels::Labels;
use crate::labels::nulls::{self, or_default};

/// The fields of a Service of type `LoadBalancer` that its address depends on.
///
/// Every review decodes a [`Service`](super::Service). Assessments also decode this, from the same object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Whole")]
pub struct LoadBalancer {
    /// The annotations with a prefix of `MetalLB`'s own: `metallb.io/` or `metallb.universe.tf/`.
    pub annotations: Labels,
    /// `spec.loadBalancerIP`; empty if it is not set.
    pub requested_address: String,
    /// The first cluster IP of each family; without cluster IPs, the families by name, as in `spec.ipFamilies`.
    pub families: Vec<String>,
    /// Whether `spec.ipFamilyPolicy` is `PreferDualStack`.
    pub prefers_dual_stack: bool,
    /// `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// `spec.healthCheckNodePort`: the TCP port at which each node's kube-proxy reports the endpoints on its node.
    /// `None` if it is not set, is 0, or is no port. No outcome takes it.
    pub health_check_node_port: Option<u16>,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// The address; empty if another controller wrote a host name.
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
    /// The host name; `MetalLB` does not announce a Service that has one.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
}

impl LoadBalancer {
    /// The value of an annotation, by its name without a prefix. The prefix `metallb.io/` takes precedence if it is
    /// present, even with an empty value (`valueForAnnotation`, controller/service.go, 0.16.2); `old_only` ignores
    /// that prefix, as MetalLB did before 0.14.9. `None` if the annotation is missing.
    #[must_use]
    pub fn annotation(&self, name: &str, old_only: bool) -> Option<&str> {
        let of = |prefix: &str| self.annotations.get(format!("{prefix}{name}").as_str()).map(SmolStr::as_str);
        let new = if old_only { None } else { of("metallb.io/") };
        new.or_else(|| of("metallb.universe.tf/"))
    }
}

/// The object as stored.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Whole {
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(deserialize_with = "nulls::strings")]
    annotations: Labels,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    #[serde(rename = "loadBalancerIP", deserialize_with = "or_default")]
    pub(super) load_balancer_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    pub(super) cluster_ips: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ip_families: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ip_family_policy: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) health_check_node_port: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(deserialize_with = "or_default")]
    load_balancer: Balancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Balancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<Ingress>,
}

impl From<Whole> for LoadBalancer {
    fn from(whole: Whole) -> Self {
        let mut annotations = whole.metadata.annotations;
        annotations.retain(|key, _| is_metallbs(key));
        Self::new(annotations, whole.spec, whole.status)
    }
}

impl LoadBalancer {
    pub(super) fn new(annotations: Labels, spec: Spec, status: Status) -> Self {
        let Spec { load_balancer_ip, cluster_ips, ip_families, ip_family_policy, health_check_node_port } =
            spec;
        Self {
            annotations,
            requested_address: load_balancer_ip,
            families: if cluster_ips.is_empty() { ip_families } else { cluster_ips },
            prefers_dual_stack: ip_family_policy == "PreferDualStack",
            ingress: status.load_balancer.ingress,
            health_check_node_port: u16::try_from(health_check_node_port).ok().filter(|port| *port != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_health_check_node_port_is_a_port_or_none() {
        let ports = [
            (json!(31234), Some(31234)),
            (json!(0), None),
            (json!(-1), None),
            (json!(65536), None),
            (json!(null), None),
        ];
        for (port, expected) in ports {
            let service = json!({"spec": {"healthCheckNodePort": port}});
            let balancer: LoadBalancer = serde_json::from_value(service).unwrap();
            assert_eq!(balancer.health_check_node_port, expected, "{port}");
        }
    }
}
