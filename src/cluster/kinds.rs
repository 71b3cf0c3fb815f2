//! The watched kinds: one table, and the targets of watches that are derived from it.
//!
//! # How to add a kind to the inventory
//!
//! 1. Add a variant to [`WatchedKind`] and to [`WatchedKind::ALL`], and its row in `WatchedKind::row`: the resource,
//!    the part of an object that is read, where it is watched, who reads it, and the function that decodes it.
//! 2. Write that function in `decode`. It returns an `Item`; if no variant fits, add one, and its arms in `Item`: how it
//!    is put into the [`Inventory`](crate::snapshot::Inventory) and taken out, and which topologies a change concerns.
//! 3. Grant `list` and `watch` in the chart's roles. Until a grant exists, the namespaces of a kind that rules read stay
//!    pending, and what is assessed by another kind is Unknown.
//!
//! Everything else is derived from the row: targets, watches, stores, metrics and debouncing. Keep in an `Item` only
//! fields that the core reads. A field that changes often, such as a heartbeat, would rebuild the snapshot each time.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::core::{ApiResource, GroupVersionKind};
use prometheus_client::encoding::EncodeLabelValue;

use super::decode::{self, Item, ReceivedObject};
use crate::labels::Labels;
use crate::snapshot::Source;
use crate::topology::{GatewayTopology, GatewayTopologySpec};

/// A watched kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub enum WatchedKind {
    /// All of the cluster's nodes.
    Node,
    /// All topologies.
    GatewayTopology,
    /// The Services of a gateway's namespace.
    Service,
    /// The pods of one gateway.
    Pod,
    /// The address pools in MetalLB's namespace.
    IPAddressPool,
    /// The advertisements in MetalLB's namespace.
    L2Advertisement,
    /// All namespaces.
    Namespace,
    /// The endpoints of the Services of a gateway's namespace.
    EndpointSlice,
    /// The pods in MetalLB's namespace, some of which are speakers. A speaker of a renamed chart is known by its image only.
    Speaker,
    /// The address pools of MetalLB up to 0.13.
    AddressPool,
    /// The BGP advertisements in MetalLB's namespace.
    BGPAdvertisement,
    /// The speakers' reports on who announces a Service, in MetalLB's namespace.
    ServiceL2Status,
    /// The Deployments of a gateway's namespace.
    Deployment,
    /// The `StatefulSet`s of a gateway's namespace.
    StatefulSet,
    /// The `DaemonSet`s of a gateway's namespace.
    DaemonSet,
    /// The `PodDisruptionBudget`s of a gateway's namespace.
    PodDisruptionBudget,
    /// The configuration that registers Lockstep for mutation.
    MutatingWebhookConfiguration,
    /// The configuration that registers Lockstep for validation.
    ValidatingWebhookConfiguration,
    /// The reports that Lockstep writes, as OpenReports defines them (`openreports.io`, github.com/openreports/reports-api v0.2.1).
    ClusterReport,
    /// The reports that Lockstep writes, in the form before OpenReports (`wgpolicyk8s.io`, the policy working group of Kubernetes).
    ClusterPolicyReport,
}

/// The properties of a kind.
struct Row {
    resource: fn() -> ApiResource,
    content: Content,
    /// The part of the kind in an inventory; `None` for kinds that are watched for another purpose.
    inventory: Option<InInventory>,
}

/// The part of an object that the API server sends.
#[derive(PartialEq, Eq)]
enum Content {
    /// Metadata only.
    Metadata,
    Whole,
}

/// The use of a kind in the inventory.
struct InInventory {
    scope: Scope,
    reader: Reader,
    /// The source that is read once every watch of the kind has received a list; `None` for topologies.
    source: Option<Source>,
    decode: fn(ReceivedObject) -> Result<Item, String>,
}

/// The objects of a kind that a topology depends on.
#[derive(Clone, Copy)]
enum Scope {
    /// All objects, even without a topology.
    Cluster,
    /// The objects in the gateway's namespace.
    GatewayNamespace,
    /// The gateway's pods: those in its namespace with its labels.
    GatewayPods,
    /// The objects in MetalLB's namespace.
    MetallbNamespace,
}

/// The reader of a kind, and the effect if the API server does not serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Rules, and assessments, too. While a watch has received no list, there is no verdict that depends on it.
    Rules(WhenMissing),
    /// Assessments only. While a watch has received no list, what depends on it is Unknown. If the API server does not serve
    /// the kind, there are no objects.
    Assessments,
}

/// The effect if the API server does not serve a kind that rules read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenMissing {
    /// There is no snapshot: without the kind there is no verdict.
    NoSnapshot,
    /// The kind is known to have no objects.
    Empty,
    /// The kind is known to have no objects, because MetalLB is not installed. A request about one of its objects
    /// proves the snapshot out of date.
    LacksMetallb,
}

impl WatchedKind {
    pub(super) const ALL: [Self; 20] = [
        Self::Node,
        Self::GatewayTopology,
        Self::Service,
        Self::Pod,
        Self::IPAddressPool,
        Self::L2Advertisement,
        Self::Namespace,
        Self::EndpointSlice,
        Self::Speaker,
        Self::AddressPool,
        Self::BGPAdvertisement,
        Self::ServiceL2Status,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::PodDisruptionBudget,
        Self::MutatingWebhookConfiguration,
        Self::ValidatingWebhookConfiguration,
        Self::ClusterReport,
        Self::ClusterPolicyReport,
    ];

    /// The row of the kind in the table.
    fn row(self) -> Row {
        use Content::{Metadata, Whole};
        use Reader::{Assessments, Rules};
        use Scope::{Cluster, GatewayNamespace, GatewayPods, MetallbNamespace};
        use WhenMissing::{Empty, LacksMetallb, NoSnapshot};
        let row = |resource, scope, reader, source: Source, decode| Row {
            resource,
            content: Whole,
            inventory: Some(InInventory { scope, reader, source: Some(source), decode }),
        };
        let metadata = |row| Row { content: Metadata, ..row };
        let other = |resource| Row { resource, content: Whole, inventory: None };
        let by_rules = Rules(Empty);
        match self {
            Self::Node => row(builtin::<Node>, Cluster, Rules(NoSnapshot), Source::Nodes, decode::node),
            Self::GatewayTopology => Row {
                resource: builtin::<GatewayTopology>,
                content: Whole,
                inventory: Some(InInventory {
                    scope: Cluster,
                    reader: Rules(NoSnapshot),
                    source: None,
                    decode: decode::topology,
                }),
            },
            Self::Service => {
                row(builtin::<Service>, GatewayNamespace, by_rules, Source::Services, decode::service)
            }
            Self::Pod => row(builtin::<Pod>, GatewayPods, by_rules, Source::Pods, decode::pod),
            Self::IPAddressPool => row(
                || metallb("IPAddressPool", "ipaddresspools"),
                MetallbNamespace,
                Rules(LacksMetallb),
                Source::AddressPools,
                decode::pool,
            ),
            Self::L2Advertisement => row(
                || metallb("L2Advertisement", "l2advertisements"),
                MetallbNamespace,
                Rules(LacksMetallb),
                Source::L2Advertisements,
                decode::advertisement,
            ),
            Self::Namespace => metadata(row(
                builtin::<Namespace>,
                Cluster,
                Assessments,
                Source::Namespaces,
                decode::namespace,
            )),
            Self::EndpointSlice => row(
                builtin::<EndpointSlice>,
                GatewayNamespace,
                Assessments,
                Source::EndpointSlices,
                decode::endpoint_slice,
            ),
            Self::Speaker => {
                row(builtin::<Pod>, MetallbNamespace, Assessments, Source::Speakers, decode::speaker)
            }
            Self::AddressPool => row(
                || metallb("AddressPool", "addresspools"),
                MetallbNamespace,
                Assessments,
                Source::LegacyAddressPools,
                decode::legacy_pool,
            ),
            Self::BGPAdvertisement => row(
                || metallb("BGPAdvertisement", "bgpadvertisements"),
                MetallbNamespace,
                Assessments,
                Source::BgpAdvertisements,
                decode::bgp_advertisement,
            ),
            Self::ServiceL2Status => row(
                || metallb("ServiceL2Status", "servicel2statuses"),
                MetallbNamespace,
                Assessments,
                Source::L2Statuses,
                decode::l2_status,
            ),
            Self::Deployment => row(
                builtin::<Deployment>,
                GatewayNamespace,
                Assessments,
                Source::Deployments,
                decode::deployment,
            ),
            Self::StatefulSet => row(
                builtin::<StatefulSet>,
                GatewayNamespace,
                Assessments,
                Source::StatefulSets,
                decode::stateful_set,
            ),
            Self::DaemonSet => row(
                builtin::<DaemonSet>,
                GatewayNamespace,
                Assessments,
                Source::DaemonSets,
                decode::daemon_set,
            ),
            Self::PodDisruptionBudget => row(
                builtin::<PodDisruptionBudget>,
                GatewayNamespace,
                Assessments,
                Source::DisruptionBudgets,
                decode::disruption_budget,
            ),
            Self::MutatingWebhookConfiguration => other(builtin::<MutatingWebhookConfiguration>),
            Self::ValidatingWebhookConfiguration => other(builtin::<ValidatingWebhookConfiguration>),
            Self::ClusterReport => {
                other(|| custom("openreports.io", "v1alpha1", "ClusterReport", "clusterreports"))
            }
            Self::ClusterPolicyReport => {
                other(|| custom("wgpolicyk8s.io", "v1alpha2", "ClusterPolicyReport", "clusterpolicyreports"))
            }
        }
    }

    /// The kinds in an inventory.
    pub(super) fn of_inventory() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| kind.row().inventory.is_some())
    }

    /// The name and path of the kind at the API server.
    pub(super) fn resource(self) -> ApiResource {
        (self.row().resource)()
    }

    /// Whether whole objects are read. If not, the API server sends their metadata only.
    pub(super) fn is_whole(self) -> bool {
        self.row().content == Content::Whole
    }

    /// The reader of the kind.
    pub(super) fn reader(self) -> Reader {
        self.row().inventory.map_or(Reader::Assessments, |part| part.reader)
    }

    /// The source that the kind is.
    pub(super) fn source(self) -> Option<Source> {
        self.row().inventory.and_then(|part| part.source)
    }

    /// The part of an object that an inventory keeps.
    pub(super) fn decode(self, object: ReceivedObject) -> Item {
        let item = match self.row().inventory {
            Some(part) => (part.decode)(object),
            None => Err("no inventory holds this kind".to_owned()),
        };
        item.unwrap_or_else(Item::Unusable)
    }
}

fn builtin<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn metallb(kind: &str, plural: &str) -> ApiResource {
    custom("metallb.io", "v1beta1", kind, plural)
}

fn custom(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// The objects that one watch covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) kind: WatchedKind,
    /// The namespace; `None` for kinds without namespaces.
    pub(super) namespace: Option<String>,
    /// The name of the only object; `None` for all objects of the kind.
    pub(super) name: Option<String>,
    /// The labels that objects must have; empty for all objects.
    pub(super) labels: Labels,
}

impl Target {
    pub(super) fn everywhere(kind: WatchedKind) -> Self {
        Self { kind, namespace: None, name: None, labels: Labels::new() }
    }

    pub(super) fn one(kind: WatchedKind, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::everywhere(kind) }
    }

    fn of(kind: WatchedKind, scope: Scope, topology: &GatewayTopologySpec) -> Self {
        let gateway = &topology.gateway;
        let within =
            |namespace: &str| Self { namespace: Some(namespace.to_owned()), ..Self::everywhere(kind) };
        match scope {
            Scope::Cluster => Self::everywhere(kind),
            Scope::GatewayNamespace => within(&gateway.namespace),
            Scope::GatewayPods => Self { labels: gateway.pod_labels.clone(), ..within(&gateway.namespace) },
            Scope::MetallbNamespace => within(&topology.metallb_namespace),
        }
    }

    /// The field selector as a query parameter. An account whose role names the object must use it.
    pub(super) fn field_selector(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("metadata.name={name}"))
    }

    /// The label selector as a query parameter. Keys and values are valid, so they need no quotes.
    pub(super) fn label_selector(&self) -> Option<String> {
        let pairs: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }
}

/// Returns all targets to watch for `topologies`. Two topologies share a watch unless they select different pods.
pub(super) fn targets<'t>(topologies: impl Iterator<Item = &'t GatewayTopologySpec>) -> BTreeSet<Target> {
    let parts: Vec<(WatchedKind, Scope)> = WatchedKind::ALL
        .into_iter()
        .filter_map(|kind| kind.row().inventory.map(|part| (kind, part.scope)))
        .collect();
    let everywhere = parts.iter().filter(|(_, scope)| matches!(scope, Scope::Cluster));
    let mut targets: BTreeSet<Target> = everywhere.map(|(kind, _)| Target::everywhere(*kind)).collect();
    for topology in topologies {
        targets.extend(parts.iter().map(|(kind, scope)| Target::of(*kind, *scope, topology)));
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_topology_only_cluster_wide_kinds_are_watched() {
        let targets = targets(std::iter::empty());
        assert_eq!(targets.len(), 3);
        assert!(targets.iter().all(|target| target.namespace.is_none()));
    }

    #[test]
    fn topologies_share_all_watches_except_those_of_pods() {
        let one = GatewayTopologySpec::default();
        let mut other = one.clone();
        other.gateway.pod_labels = Labels::from([("app".into(), "other".into())]);
        assert_eq!(targets([&one].into_iter()).len(), 16);
        assert_eq!(targets([&one, &one].into_iter()).len(), 16);
        assert_eq!(targets([&one, &other].into_iter()).len(), 17);
    }

    #[test]
    fn pods_are_selected_by_the_gateways_labels() {
        let targets = targets([&GatewayTopologySpec::default()].into_iter());
        let selectors: Vec<_> = targets.iter().filter_map(Target::label_selector).collect();
        assert_eq!(selectors, ["app=istio-ingressgateway,istio=ingressgateway"]);
    }

    /// A watch that only assessments read must not raise the critical alert.
    #[test]
    fn the_alerts_on_stale_watches_tell_the_kinds_that_rules_read_from_all_others() {
        let alerts = include_str!("../../charts/lockstep/templates/prometheusrule.yaml");
        let read = WatchedKind::ALL.into_iter().filter(|kind| matches!(kind.reader(), Reader::Rules(_)));
        let kinds: Vec<String> = read.map(|kind| format!("{kind:?}")).collect();
        let (always, with_topologies) = kinds.split_at(2);
        for matcher in [
            format!("kind=~\"{}\"", always.join("|")),
            format!("kind=~\"{}\"", with_topologies.join("|")),
            format!("kind!~\"{}\"", kinds.join("|")),
        ] {
            assert!(alerts.contains(&matcher), "no alert has {matcher}");
        }
    }
}
