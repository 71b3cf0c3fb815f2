//! The kinds that are watched: the one table of what they are called and how much of them is read.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::core::{ApiResource, GroupVersionKind};
use prometheus_client::encoding::EncodeLabelValue;

use crate::topology::GatewayTopology;

/// A kind that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub enum Watched {
    /// All of the cluster's nodes.
    Node,
    /// All topologies.
    GatewayTopology,
    /// The Services of a gateway's namespace.
    Service,
    /// The pods of one gateway.
    Pod,
    /// The pools in `MetalLB`'s namespace.
    IPAddressPool,
    /// The advertisements in `MetalLB`'s namespace.
    L2Advertisement,
    /// The one that registers Lockstep.
    MutatingWebhookConfiguration,
    /// The one that registers Lockstep.
    ValidatingWebhookConfiguration,
}

impl Watched {
    /// What facts are made of.
    pub(super) const FOR_FACTS: [Self; 6] = [
        Self::Node,
        Self::GatewayTopology,
        Self::Service,
        Self::Pod,
        Self::IPAddressPool,
        Self::L2Advertisement,
    ];

    /// What the API server calls it.
    pub(super) fn resource(self) -> ApiResource {
        let metallb = |kind, plural| {
            let kind = GroupVersionKind::gvk("metallb.io", "v1beta1", kind);
            ApiResource::from_gvk_with_plural(&kind, plural)
        };
        match self {
            Self::Node => ApiResource::erase::<Node>(&()),
            Self::GatewayTopology => ApiResource::erase::<GatewayTopology>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::IPAddressPool => metallb("IPAddressPool", "ipaddresspools"),
            Self::L2Advertisement => metallb("L2Advertisement", "l2advertisements"),
            Self::MutatingWebhookConfiguration => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
            Self::ValidatingWebhookConfiguration => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        }
    }

    /// Whether more than metadata is read. The API server leaves the rest out of what it sends.
    pub(super) const fn is_whole(self) -> bool {
        match self {
            Self::GatewayTopology
            | Self::Service
            | Self::L2Advertisement
            | Self::MutatingWebhookConfiguration
            | Self::ValidatingWebhookConfiguration => true,
            Self::Node | Self::Pod | Self::IPAddressPool => false,
        }
    }

    /// Whether it is one of `MetalLB`'s, which may be installed later than Lockstep, or never.
    pub(super) const fn is_metallb(self) -> bool {
        matches!(self, Self::IPAddressPool | Self::L2Advertisement)
    }
}
