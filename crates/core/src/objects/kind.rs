//! The kinds that rules judge: the only table of their resources, versions and phases.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer};

use super::service::WholeService;
use super::{
    AddressPool, BgpAdvertisement, DaemonSet, IpAddressPool, L2Advertisement, Object, Pod, TemplatedWorkload,
};
use crate::operation::{Operation, Phase};

/// A kind that rules judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `v1` `Pod`.
    Pod,
    /// `apps/v1` `DaemonSet`.
    DaemonSet,
    /// `v1` `Service`.
    Service,
    /// `metallb.io/v1beta1` `L2Advertisement`.
    L2Advertisement,
    /// `metallb.io/v1beta1` `BGPAdvertisement`.
    BgpAdvertisement,
    /// `metallb.io/v1beta1` `IPAddressPool`.
    IpAddressPool,
    /// `metallb.io/v1beta1` `AddressPool`.
    AddressPool,
    /// `apps/v1` `Deployment`.
    Deployment,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
    /// `apps/v1` `ReplicaSet`.
    ReplicaSet,
    /// `argoproj.io/v1alpha1` `Rollout`, of Argo Rollouts.
    Rollout,
}

/// A resource as in webhook configurations and RBAC, in the only version that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The plural name.
    pub plural: &'static str,
}

impl Resource {
    /// The group and version as manifests write them: `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(self) -> String {
        let Self { group, version, .. } = self;
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }
}

/// The resource with its group, as `kubectl auth can-i list` takes it: `endpointslices.discovery.k8s.io`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, plural, .. } = self;
        if group.is_empty() { f.write_str(plural) } else { write!(f, "{plural}.{group}") }
    }
}

impl Kind {
    /// Every kind whose requests rules may deny.
    pub const ALL: [Self; 7] = [
        Self::Pod,
        Self::Service,
        Self::DaemonSet,
        Self::L2Advertisement,
        Self::BgpAdvertisement,
        Self::IpAddressPool,
        Self::AddressPool,
    ];

    /// The workloads whose requests are answered with warnings, and never denied: each of their pods is judged when it is
    /// created.
    pub const WORKLOADS: [Self; 4] = [Self::Deployment, Self::StatefulSet, Self::ReplicaSet, Self::Rollout];

    /// The kind as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::DaemonSet => "DaemonSet",
            Self::Service => "Service",
            Self::L2Advertisement => "L2Advertisement",
            Self::BgpAdvertisement => "BGPAdvertisement",
            Self::IpAddressPool => "IPAddressPool",
            Self::AddressPool => "AddressPool",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Rollout => "Rollout",
        }
    }

    /// Whether the kind is part of MetalLB's configuration.
    #[must_use]
    pub const fn is_metallb(self) -> bool {
        matches!(
            self,
            Self::L2Advertisement | Self::BgpAdvertisement | Self::IpAddressPool | Self::AddressPool
        )
    }

    /// Whether the kind is one of [`Kind::WORKLOADS`].
    #[must_use]
    pub const fn is_workload(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet | Self::ReplicaSet | Self::Rollout)
    }

    /// The kind's resource.
    #[must_use]
    pub const fn resource(self) -> Resource {
        let (group, version, plural) = match self {
            Self::Pod => ("", "v1", "pods"),
            Self::DaemonSet => ("apps", "v1", "daemonsets"),
            Self::Service => ("", "v1", "services"),
            Self::L2Advertisement => ("metallb.io", "v1beta1", "l2advertisements"),
            Self::BgpAdvertisement => ("metallb.io", "v1beta1", "bgpadvertisements"),
            Self::IpAddressPool => ("metallb.io", "v1beta1", "ipaddresspools"),
            Self::AddressPool => ("metallb.io", "v1beta1", "addresspools"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::StatefulSet => ("apps", "v1", "statefulsets"),
            Self::ReplicaSet => ("apps", "v1", "replicasets"),
            Self::Rollout => ("argoproj.io", "v1alpha1", "rollouts"),
        };
        Resource { group, version, plural }
    }

    /// The operations that must reach Lockstep in `phase`; none if no rule judges the kind in this phase.
    ///
    /// The API server rejects changes of a stored pod's placement (`ValidatePodUpdate`), so updates of pods are
    /// validated only.
    #[must_use]
    pub const fn operations(self, phase: Phase) -> &'static [Operation] {
        match (phase, self) {
            (Phase::Mutate, kind) if kind.is_metallb() || kind.is_workload() => &[],
            (Phase::Mutate, Self::Pod) => &[Operation::Create],
            (Phase::Validate, kind) if kind.is_metallb() => {
                &[Operation::Create, Operation::Update, Operation::Delete]
            }
            _ => &[Operation::Create, Operation::Update],
        }
    }

    /// Whether a rule judges the operation on this kind, in either phase.
    #[must_use]
    pub fn is_judged_on(self, operation: Operation) -> bool {
        Phase::ALL.into_iter().any(|phase| self.operations(phase).contains(&operation))
    }

    /// The kind of a resource, by its group and plural name.
    #[must_use]
    pub fn of(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::WORKLOADS).find(|kind| {
            let resource = kind.resource();
            resource.group == group && resource.plural == plural
        })
    }
}

/// Decodes an object of this kind; `None` for `null`.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Option<Object>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Object>, D::Error> {
        Ok(match self {
            Self::Pod => Option::<Pod>::deserialize(deserializer)?.map(Object::Pod),
            Self::DaemonSet => Option::<DaemonSet>::deserialize(deserializer)?.map(Object::DaemonSet),
            Self::Service => Option::<WholeService>::deserialize(deserializer)?.map(|whole| {
                let (service, balancer) = whole.split();
                Object::Service(service, Box::new(balancer))
            }),
            Self::L2Advertisement => {
                Option::<L2Advertisement>::deserialize(deserializer)?.map(Object::L2Advertisement)
            }
            Self::BgpAdvertisement => {
                Option::<BgpAdvertisement>::deserialize(deserializer)?.map(Object::BgpAdvertisement)
            }
            Self::IpAddressPool => {
                Option::<IpAddressPool>::deserialize(deserializer)?.map(Object::IpAddressPool)
            }
            Self::AddressPool => Option::<AddressPool>::deserialize(deserializer)?.map(Object::AddressPool),
            Self::Deployment | Self::StatefulSet | Self::ReplicaSet | Self::Rollout => {
                let workload = Option::<TemplatedWorkload>::deserialize(deserializer)?;
                workload.map(|workload| Object::Workload(self, workload))
            }
        })
    }
}
