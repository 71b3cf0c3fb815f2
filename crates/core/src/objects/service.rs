//! Services.

use serde::Deserialize;

use super::load_balancer::{Spec, Status};
use super::{LoadBalancer, Metadata};
use crate::labels::Labels;
use crate::labels::nulls::{self, or_default};

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata; an advertisement's `serviceSelectors` match the labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec; `None` if the object has none.
    pub spec: Option<ServiceSpec>,
}

/// The fields of a Service's spec that decide how it is reachable from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// The type; empty means `ClusterIP`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The selector of the pods; empty if the endpoints are managed by hand.
    #[serde(deserialize_with = "nulls::strings")]
    pub selector: Labels,
    /// The policy; empty if the API server's default applies.
    #[serde(deserialize_with = "or_default")]
    pub external_traffic_policy: String,
    /// The load balancer class. `MetalLB` serves Services without a class unless it runs with `--lb-class`.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_class: String,
    /// Addresses that are routed to the cluster without a load balancer.
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    pub external_ips: Vec<String>,
}

impl ServiceSpec {
    /// Whether `externalTrafficPolicy` is `Local`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.external_traffic_policy == "Local"
    }
}

/// A Service with what its addresses depend on, decoded in one pass.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WholeService {
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    spec: Option<WholeSpec>,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

/// The fields of [`ServiceSpec`] and of a [`LoadBalancer`]'s spec. `#[serde(flatten)]` would buffer every field.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WholeSpec {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "nulls::strings")]
    selector: Labels,
    #[serde(deserialize_with = "or_default")]
    external_traffic_policy: String,
    #[serde(deserialize_with = "or_default")]
    load_balancer_class: String,
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    external_ips: Vec<String>,
    #[serde(rename = "loadBalancerIP", deserialize_with = "or_default")]
    load_balancer_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ip_families: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ip_family_policy: String,
    #[serde(deserialize_with = "or_default")]
    health_check_node_port: i64,
}

impl WholeService {
    /// The Service, and what its addresses depend on.
    pub(super) fn split(self) -> (Service, LoadBalancer) {
        let Self { mut metadata, spec, status } = self;
        let annotations = std::mem::take(&mut metadata.annotations.metallb);
        let Some(spec) = spec else {
            let balancer = LoadBalancer::new(annotations, Spec::default(), status);
            return (Service { metadata, spec: None }, balancer);
        };
        let WholeSpec {
            kind,
            selector,
            external_traffic_policy,
            load_balancer_class,
            external_ips,
            load_balancer_ip,
            cluster_ips,
            ip_families,
            ip_family_policy,
            health_check_node_port,
        } = spec;
        let allocation =
            Spec { load_balancer_ip, cluster_ips, ip_families, ip_family_policy, health_check_node_port };
        let spec = ServiceSpec { kind, selector, external_traffic_policy, load_balancer_class, external_ips };
        (Service { metadata, spec: Some(spec) }, LoadBalancer::new(annotations, allocation, status))
    }
}
