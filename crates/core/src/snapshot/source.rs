//! Sources: the kinds of objects that an assessment reads, each of which may be unreadable.

use crate::objects::{Kind, Resource};

/// A kind of objects that is read or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Nodes: labels, conditions and taints.
    Nodes,
    /// The Services of gateways' namespaces, with their status.
    Services,
    /// The `EndpointSlice`s of gateways' namespaces.
    EndpointSlices,
    /// The pods of gateways' namespaces: labels and nodes.
    Pods,
    /// `IPAddressPool`s.
    AddressPools,
    /// `AddressPool`s. If the cluster does not serve the kind, it counts as read and empty.
    LegacyAddressPools,
    /// `L2Advertisement`s.
    L2Advertisements,
    /// `BGPAdvertisement`s.
    BgpAdvertisements,
    /// The labels of namespaces.
    Namespaces,
    /// MetalLB's speaker pods.
    Speakers,
    /// `ServiceL2Status`es.
    L2Statuses,
    /// The Deployments of gateways' namespaces.
    Deployments,
    /// The `StatefulSet`s of gateways' namespaces.
    StatefulSets,
    /// The `DaemonSet`s of gateways' namespaces.
    DaemonSets,
    /// The `PodDisruptionBudget`s of gateways' namespaces.
    DisruptionBudgets,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 15] = [
        Self::Nodes,
        Self::Services,
        Self::EndpointSlices,
        Self::Pods,
        Self::AddressPools,
        Self::LegacyAddressPools,
        Self::L2Advertisements,
        Self::BgpAdvertisements,
        Self::Namespaces,
        Self::Speakers,
        Self::L2Statuses,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::DisruptionBudgets,
    ];

    /// The resource in RBAC.
    #[must_use]
    pub const fn resource(self) -> Resource {
        let (group, version, plural) = match self {
            Self::Nodes => ("", "v1", "nodes"),
            Self::Services => return Kind::Service.resource(),
            Self::EndpointSlices => ("discovery.k8s.io", "v1", "endpointslices"),
            Self::Pods | Self::Speakers => return Kind::Pod.resource(),
            Self::AddressPools => return Kind::IpAddressPool.resource(),
            Self::LegacyAddressPools => return Kind::AddressPool.resource(),
            Self::L2Advertisements => return Kind::L2Advertisement.resource(),
            Self::BgpAdvertisements => return Kind::BgpAdvertisement.resource(),
            Self::Namespaces => ("", "v1", "namespaces"),
            Self::L2Statuses => ("metallb.io", "v1beta1", "servicel2statuses"),
            Self::Deployments => ("apps", "v1", "deployments"),
            Self::StatefulSets => ("apps", "v1", "statefulsets"),
            Self::DaemonSets => return Kind::DaemonSet.resource(),
            Self::DisruptionBudgets => ("policy", "v1", "poddisruptionbudgets"),
        };
        Resource { group, version, plural }
    }
}

/// Displays as its resource does: `endpointslices.discovery.k8s.io`.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.resource().fmt(f)
    }
}
