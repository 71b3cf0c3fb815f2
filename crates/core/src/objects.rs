//! The fields of Kubernetes and MetalLB objects that rules read.
//!
//! Decoding skips every other field without allocating, because decoding is most of the cost of a review. Nulls are
//! decoded as the API server stores them: it prunes them from custom resources, and reads them as empty values in
//! built-in kinds.

mod address_pool;
mod announcement;
mod disruption_budget;
mod endpoint_slice;
mod int_or_percent;
mod kind;
mod l2_status;
mod load_balancer;
mod metadata;
mod node_state;
mod pod;
mod service;
mod workload;

pub use address_pool::{AddressPool, AddressPoolSpec, IpAddressPool, LegacyPoolSpec, ServiceAllocation};
pub use announcement::{
    AdvertisementSpec, BgpAdvertisement, BgpAdvertisementSpec, L2Advertisement, PreferredNodeSelector,
};
pub use disruption_budget::{DisruptionBudget, DisruptionLimit};
pub use endpoint_slice::{Endpoint, EndpointConditions, EndpointSlice};
pub use int_or_percent::{IntOrPercent, Rounding};
pub use kind::{Kind, Resource};
pub use l2_status::ServiceL2Status;
pub use load_balancer::{Ingress, LoadBalancer};
pub use metadata::{Annotations, Metadata};
pub use node_state::{NodeState, Taint};
pub use pod::{
    Affinity, DaemonSet, DaemonSetSpec, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, Pod, PodSpec, PodTemplate, TemplatedWorkload, TemplatedWorkloadSpec,
};
pub use service::{Service, ServiceSpec};
pub use workload::{HOSTNAME, Rollout, Workload, WorkloadKind};

use serde::Deserialize;

use crate::labels::nulls::or_default;

/// A node: its name and labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name and labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// An object that rules judge.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A pod, or the pod of a template.
    Pod(Pod),
    /// A `DaemonSet`.
    DaemonSet(DaemonSet),
    /// A Service, and what its addresses depend on.
    Service(Service, Box<LoadBalancer>),
    /// An `L2Advertisement`.
    L2Advertisement(L2Advertisement),
    /// A `BGPAdvertisement`.
    BgpAdvertisement(BgpAdvertisement),
    /// An `IPAddressPool`.
    IpAddressPool(IpAddressPool),
    /// An `AddressPool`, which MetalLB reads up to 0.13.
    AddressPool(AddressPool),
    /// One of [`Kind::WORKLOADS`].
    Workload(Kind, TemplatedWorkload),
}

impl Object {
    /// The object's kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) => Kind::Pod,
            Self::DaemonSet(_) => Kind::DaemonSet,
            Self::Service(..) => Kind::Service,
            Self::L2Advertisement(_) => Kind::L2Advertisement,
            Self::BgpAdvertisement(_) => Kind::BgpAdvertisement,
            Self::IpAddressPool(_) => Kind::IpAddressPool,
            Self::AddressPool(_) => Kind::AddressPool,
            Self::Workload(kind, _) => *kind,
        }
    }

    /// The object's metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Pod(pod) => &pod.metadata,
            Self::DaemonSet(daemon_set) => &daemon_set.metadata,
            Self::Service(service, _) => &service.metadata,
            Self::L2Advertisement(advertisement) => &advertisement.metadata,
            Self::BgpAdvertisement(advertisement) => &advertisement.metadata,
            Self::IpAddressPool(pool) => &pool.metadata,
            Self::AddressPool(pool) => &pool.metadata,
            Self::Workload(_, workload) => &workload.metadata,
        }
    }

    /// The object's metadata, to change it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        match self {
            Self::Pod(pod) => &mut pod.metadata,
            Self::DaemonSet(daemon_set) => &mut daemon_set.metadata,
            Self::Service(service, _) => &mut service.metadata,
            Self::L2Advertisement(advertisement) => &mut advertisement.metadata,
            Self::BgpAdvertisement(advertisement) => &mut advertisement.metadata,
            Self::IpAddressPool(pool) => &mut pool.metadata,
            Self::AddressPool(pool) => &mut pool.metadata,
            Self::Workload(_, workload) => &mut workload.metadata,
        }
    }
}
