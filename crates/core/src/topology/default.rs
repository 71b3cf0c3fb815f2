//! The built-in topology: the default of every field.

use std::collections::BTreeMap;

use super::{
    Announcements, Enforcement, Gateway, GatewayTopologySpec, OnCluster, OnConflict, Placement,
    ServicePolicy, ServiceType, ValidationAction,
};
use crate::labels::Labels;

/// The name of the built-in topology.
pub const BUILT_IN: &str = "istio-ingressgateway";

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

impl Default for GatewayTopologySpec {
    fn default() -> Self {
        Self {
            gateway: Gateway::default(),
            placement: Placement::default(),
            address_pools: vec!["default-pool".to_owned()],
            metallb_namespace: "metallb-system".to_owned(),
            announcements: Announcements::default(),
            service: ServicePolicy::default(),
            enforcement: Enforcement::default(),
            enforcement_by_rule: BTreeMap::new(),
            exceptions: Vec::new(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            namespace: "istio-system".to_owned(),
            pod_labels: labels([("app", "istio-ingressgateway"), ("istio", "ingressgateway")]),
        }
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self { node_selector: labels([("loadbalancerIPs.metallb.io", "arp")]), on_conflict: OnConflict::Deny }
    }
}

impl Default for ServicePolicy {
    fn default() -> Self {
        Self {
            types: vec![ServiceType::LoadBalancer],
            load_balancer_classes: vec![String::new()],
            shared_ip: ValidationAction::default(),
            on_cluster: OnCluster::default(),
        }
    }
}
