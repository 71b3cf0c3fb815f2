//! Decoding of objects from the API server into the parts that a snapshot keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::assessment::Changes;
use crate::field::FieldPath;
use crate::labels::Labels;
use crate::objects::{
    AddressPoolSpec, AdvertisementSpec, BgpAdvertisementSpec, DisruptionBudget, EndpointSlice,
    LegacyPoolSpec, LoadBalancer, Metadata, NodeState, Service, ServiceL2Status, Workload, WorkloadKind,
};
use crate::snapshot::{Declared, Inventory, ObjectKey, RunningPod, Speaker};
use crate::topology::{GatewayTopologySpec, GatewayTopologyStatus, prune};

/// An object as received, whole or metadata only.
#[derive(Debug)]
pub(super) struct ReceivedObject {
    pub(super) metadata: ObjectMeta,
    /// All fields besides the metadata; null if only metadata was requested.
    pub(super) rest: Value,
}

impl From<DynamicObject> for ReceivedObject {
    fn from(object: DynamicObject) -> Self {
        Self { metadata: object.metadata, rest: object.data }
    }
}

impl<K> From<PartialObjectMeta<K>> for ReceivedObject {
    fn from(object: PartialObjectMeta<K>) -> Self {
        Self { metadata: object.metadata, rest: Value::Null }
    }
}

impl ReceivedObject {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Returns the spec of a usable topology with the fields that only a later release knows, which are left out of it, or the reason why
    /// it is not usable.
    pub(super) fn topology(mut self) -> Result<(Declared, Vec<FieldPath>), String> {
        let pruned = self.rest.get_mut("spec").map(prune).unwrap_or_default();
        let spec: GatewayTopologySpec = self.take("spec")?.ok_or("spec: it is missing")?;
        spec.check().map_err(|error| error.to_string())?;
        let declared = Declared {
            generation: self.metadata.generation.unwrap_or_default(),
            created: self.metadata.creation_timestamp.map(|time| time.0),
            spec,
        };
        Ok((declared, pruned))
    }

    /// Takes the status of a topology out of the object; empty if it does not decode.
    pub(super) fn take_status(&mut self) -> GatewayTopologyStatus {
        self.take("status").ok().flatten().unwrap_or_default()
    }

    /// Takes all fields besides the metadata.
    fn take_rest<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        serde_json::from_value(self.rest.take()).map_err(|error| error.to_string())
    }

    fn take<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, String> {
        let value = self.rest.get_mut(field).map(Value::take).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| format!("{field}: {error}"))
    }
}

/// The part of an object that an inventory keeps. Rare and large variants are boxed, so that a node stays small.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// The labels of a node, shared with every snapshot, and its state.
    Node(Arc<Labels>, Box<NodeState>),
    /// A topology, and the fields of it that only a later release knows, which are left out.
    Topology(Box<Declared>, Vec<FieldPath>),
    Service(Box<(Service, LoadBalancer)>),
    /// The labels of a pod, and its node.
    Pod(Labels, String),
    Pool(Box<(Labels, AddressPoolSpec)>),
    Advertisement(Box<AdvertisementSpec>),
    Namespace(Labels),
    EndpointSlice(Box<EndpointSlice>),
    Speaker(Box<Speaker>),
    /// A pod in MetalLB's namespace that is no speaker.
    OtherPod,
    LegacyPool(Box<LegacyPoolSpec>),
    BgpAdvertisement(Box<BgpAdvertisementSpec>),
    /// The Service of a report, and the node that announces it.
    L2Status(Box<(ObjectKey, String)>),
    Workload(Box<Workload>),
    DisruptionBudget(Box<DisruptionBudget>),
    /// The reason why the object cannot be used. The object is left out of the inventory.
    ///
    /// For a stored advertisement this is the strict reading: no gateway node counts as announced because of it, and
    /// MetalLB decodes the same fields into stricter types, so it cannot use the object either. A stored Service has
    /// passed the API server's own types, which are stricter, too. If one is left out, advertisements are judged
    /// without its labels, and changes of the Service itself are judged as usual.
    Unusable(String),
}

impl Item {
    /// Adds the item to `inventory` under `key`.
    pub(super) fn insert_into(&self, key: &ObjectKey, inventory: &mut Inventory) {
        let (key, name) = (|| key.clone(), || key.name.clone());
        match self {
            Self::Node(labels, state) => {
                inventory.nodes.insert(name(), Arc::clone(labels));
                inventory.node_states.insert(name(), state.as_ref().clone());
            }
            Self::Topology(declared, _) => {
                drop(inventory.topologies.insert(name(), declared.as_ref().clone()));
            }
            Self::Service(service) => {
                let (service, balancer) = service.as_ref().clone();
                inventory.services.insert(key(), service);
                inventory.load_balancers.insert(key(), balancer);
            }
            Self::Pod(labels, node) => {
                inventory.pods.insert(key(), labels.clone());
                inventory.pod_nodes.insert(key(), node.clone());
            }
            Self::Pool(pool) => {
                let (labels, spec) = pool.as_ref().clone();
                inventory.pools.insert(key(), labels);
                inventory.pool_specs.insert(key(), spec);
            }
            Self::Advertisement(spec) => {
                drop(inventory.advertisements.insert(key(), spec.as_ref().clone()));
            }
            Self::Namespace(labels) => drop(inventory.namespaces.insert(name(), labels.clone())),
            Self::EndpointSlice(slice) => {
                drop(inventory.endpoint_slices.insert(key(), slice.as_ref().clone()));
            }
            Self::Speaker(speaker) => drop(inventory.speakers.insert(key(), speaker.as_ref().clone())),
            Self::LegacyPool(spec) => drop(inventory.legacy_pools.insert(key(), spec.as_ref().clone())),
            Self::BgpAdvertisement(spec) => {
                drop(inventory.bgp_advertisements.insert(key(), spec.as_ref().clone()));
            }
            Self::L2Status(report) => {
                let (service, node) = report.as_ref();
                inventory.reported_announcers.entry(service.clone()).or_default().insert(node.clone());
            }
            Self::Workload(workload) => {
                let held = inventory.workloads.entry(workload.kind).or_default();
                drop(held.insert(key(), workload.as_ref().clone()));
            }
            Self::DisruptionBudget(budget) => {
                drop(inventory.disruption_budgets.insert(key(), budget.as_ref().clone()));
            }
            Self::OtherPod | Self::Unusable(_) => {}
        }
    }

    /// Takes the item out of `inventory` again.
    pub(super) fn remove_from(&self, key: &ObjectKey, inventory: &mut Inventory) {
        match self {
            Self::Node(..) => {
                inventory.nodes.remove(&key.name);
                inventory.node_states.remove(&key.name);
            }
            Self::Topology(..) => drop(inventory.topologies.remove(&key.name)),
            Self::Service(_) => {
                inventory.services.remove(key);
                inventory.load_balancers.remove(key);
            }
            Self::Pod(..) => {
                inventory.pods.remove(key);
                inventory.pod_nodes.remove(key);
            }
            Self::Pool(_) => {
                inventory.pools.remove(key);
                inventory.pool_specs.remove(key);
            }
            Self::Advertisement(_) => drop(inventory.advertisements.remove(key)),
            Self::Namespace(_) => drop(inventory.namespaces.remove(&key.name)),
            Self::EndpointSlice(_) => drop(inventory.endpoint_slices.remove(key)),
            Self::Speaker(_) => drop(inventory.speakers.remove(key)),
            Self::LegacyPool(_) => drop(inventory.legacy_pools.remove(key)),
            Self::BgpAdvertisement(_) => drop(inventory.bgp_advertisements.remove(key)),
            Self::L2Status(report) => {
                let (service, node) = report.as_ref();
                if let Some(nodes) = inventory.reported_announcers.get_mut(service) {
                    nodes.remove(node);
                    if nodes.is_empty() {
                        inventory.reported_announcers.remove(service);
                    }
                }
            }
            Self::Workload(workload) => {
                inventory.workloads.entry(workload.kind).or_default().remove(key);
            }
            Self::DisruptionBudget(_) => drop(inventory.disruption_budgets.remove(key)),
            Self::OtherPod | Self::Unusable(_) => {}
        }
    }

    /// Adds what a change of an object may concern to `changes`.
    pub(super) fn add_change(
        key: &ObjectKey,
        before: Option<&Self>,
        after: Option<&Self>,
        changes: &mut Changes,
    ) {
        fn labels(item: Option<&Item>) -> Option<&Arc<Labels>> {
            match item {
                Some(Item::Node(labels, _)) => Some(labels),
                _ => None,
            }
        }
        if let (Some(Self::Node(..)), _) | (_, Some(Self::Node(..))) = (before, after) {
            changes.add_node(&key.name, labels(before), labels(after));
        }
        before.into_iter().chain(after).for_each(|item| item.add_to(key, changes));
    }

    fn add_to(&self, key: &ObjectKey, changes: &mut Changes) {
        match self {
            Self::Speaker(speaker) => changes.add_speaker(&speaker.node),
            Self::Topology(declared, _) => {
                changes.add_topology(&key.name);
                // Which topology keeps a pool depends on all that name it.
                changes.add_namespace(&declared.spec.metallb_namespace);
            }
            // An address may be shared by Services of several namespaces.
            Self::Service(_) => changes.merge(Changes::everything()),
            Self::Namespace(_) => changes.add_namespace(&key.name),
            Self::L2Status(report) => changes.add_namespace(&report.0.namespace),
            Self::Pod(..)
            | Self::Pool(_)
            | Self::Advertisement(_)
            | Self::EndpointSlice(_)
            | Self::LegacyPool(_)
            | Self::BgpAdvertisement(_)
            | Self::Workload(_)
            | Self::DisruptionBudget(_) => changes.add_namespace(&key.namespace),
            // What an unusable object was used for before is among the changes, and so are the labels of nodes.
            Self::Node(..) | Self::OtherPod | Self::Unusable(_) => {}
        }
    }
}

pub(super) fn node(mut object: ReceivedObject) -> Result<Item, String> {
    let state = object.take_rest()?;
    Ok(Item::Node(Arc::new(labels(object.metadata.labels)), Box::new(state)))
}

pub(super) fn pod(mut object: ReceivedObject) -> Result<Item, String> {
    let pod: RunningPod = object.take_rest()?;
    Ok(Item::Pod(labels(object.metadata.labels), pod.into_node()))
}

/// Decodes a pod in MetalLB's namespace.
pub(super) fn speaker(mut object: ReceivedObject) -> Result<Item, String> {
    let pod: RunningPod = object.take_rest()?;
    let is_speaker = pod.is_speaker(&labels(object.metadata.labels));
    Ok(if is_speaker { Item::Speaker(Box::new(pod.into())) } else { Item::OtherPod })
}

pub(super) fn pool(mut object: ReceivedObject) -> Result<Item, String> {
    let spec: Option<AddressPoolSpec> = object.take("spec")?;
    Ok(Item::Pool(Box::new((labels(object.metadata.labels), spec.unwrap_or_default()))))
}

pub(super) fn topology(object: ReceivedObject) -> Result<Item, String> {
    object.topology().map(|(declared, pruned)| Item::Topology(Box::new(declared), pruned))
}

pub(super) fn advertisement(mut object: ReceivedObject) -> Result<Item, String> {
    let spec: Option<AdvertisementSpec> = object.take("spec")?;
    Ok(Item::Advertisement(Box::new(spec.unwrap_or_default())))
}

pub(super) fn bgp_advertisement(mut object: ReceivedObject) -> Result<Item, String> {
    let spec: Option<BgpAdvertisementSpec> = object.take("spec")?;
    Ok(Item::BgpAdvertisement(Box::new(spec.unwrap_or_default())))
}

pub(super) fn legacy_pool(mut object: ReceivedObject) -> Result<Item, String> {
    let spec: Option<LegacyPoolSpec> = object.take("spec")?;
    Ok(Item::LegacyPool(Box::new(spec.unwrap_or_default())))
}

pub(super) fn namespace(object: ReceivedObject) -> Result<Item, String> {
    Ok(Item::Namespace(labels(object.metadata.labels)))
}

/// Decodes a Service, without metadata that changes often and that neither a rule nor an assessment reads.
pub(super) fn service(mut object: ReceivedObject) -> Result<Item, String> {
    let annotations = object.metadata.annotations.take();
    set(&mut object.rest, "metadata", json!({"annotations": annotations}));
    let balancer = serde_json::from_value(object.rest.clone()).map_err(|error| error.to_string())?;
    let spec = object.take("spec")?;
    let service = Service { metadata: metadata(object.metadata), spec };
    Ok(Item::Service(Box::new((service, balancer))))
}

pub(super) fn endpoint_slice(mut object: ReceivedObject) -> Result<Item, String> {
    let slice: EndpointSlice = object.take_rest()?;
    Ok(Item::EndpointSlice(Box::new(EndpointSlice { metadata: metadata(object.metadata), ..slice })))
}

/// Decodes a speaker's report.
pub(super) fn l2_status(mut object: ReceivedObject) -> Result<Item, String> {
    let ServiceL2Status { node, service_name, service_namespace } =
        object.take("status")?.unwrap_or_default();
    let service = ObjectKey { namespace: service_namespace, name: service_name };
    Ok(Item::L2Status(Box::new((service, node))))
}

pub(super) fn deployment(object: ReceivedObject) -> Result<Item, String> {
    workload(object, WorkloadKind::Deployment)
}

pub(super) fn stateful_set(object: ReceivedObject) -> Result<Item, String> {
    workload(object, WorkloadKind::StatefulSet)
}

pub(super) fn daemon_set(object: ReceivedObject) -> Result<Item, String> {
    workload(object, WorkloadKind::DaemonSet)
}

fn workload(mut object: ReceivedObject, kind: WorkloadKind) -> Result<Item, String> {
    set(&mut object.rest, "kind", kind.name().into());
    object.take_rest().map(|workload| Item::Workload(Box::new(workload)))
}

pub(super) fn disruption_budget(mut object: ReceivedObject) -> Result<Item, String> {
    object.take_rest().map(|budget| Item::DisruptionBudget(Box::new(budget)))
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn metadata(metadata: ObjectMeta) -> Metadata {
    Metadata {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        labels: labels(metadata.labels),
        is_terminating: metadata.deletion_timestamp.is_some(),
        ..Metadata::default()
    }
}

fn labels(held: Option<BTreeMap<String, String>>) -> Labels {
    held.into_iter().flatten().map(|(key, value)| (key.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: fn(ReceivedObject) -> Result<Item, String>, object: Value) -> Result<Item, String> {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        decode(object.into())
    }

    #[test]
    fn an_advertisement_may_have_no_spec() {
        let item = decoded(advertisement, json!({"metadata": {"name": "a"}}));
        assert_eq!(item, Ok(Item::Advertisement(Box::default())));
    }

    #[test]
    fn an_advertisement_that_does_not_decode_is_unusable_and_the_reason_names_the_field() {
        let item = decoded(advertisement, json!({"metadata": {"name": "a"}, "spec": {"ipAddressPools": 7}}));
        assert_eq!(item, Err("spec: invalid type: integer `7`, expected a sequence".to_owned()));
    }

    #[test]
    fn a_service_keeps_the_fields_that_rules_read() {
        let item = decoded(
            service,
            json!({
                "metadata": {
                    "name": "gateway", "namespace": "istio-system", "labels": {"app": "gateway"},
                    "resourceVersion": "17", "managedFields": [{"manager": "helm"}],
                },
                "spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}},
                "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
            }),
        );
        let Ok(Item::Service(service)) = item else {
            panic!("not decoded: {item:?}");
        };
        let (service, balancer) = *service;
        assert_eq!(service.metadata.name, "gateway");
        assert_eq!(service.metadata.labels.get("app").unwrap(), "gateway");
        assert_eq!(service.spec.unwrap().kind, "LoadBalancer");
        assert_eq!(balancer.ingress[0].ip, "10.0.0.1");
    }

    #[test]
    fn the_reason_for_an_unusable_topology_names_its_field() {
        for (spec, expected) in [
            (json!({"gateway": {"podLabels": {}}}), "spec.gateway.podLabels: "),
            (json!({"addressPools": []}), "spec.addressPools: "),
            (json!({"enforcement": "Always"}), "spec: unknown variant `Always`"),
            (Value::Null, "spec: it is missing"),
        ] {
            let item = decoded(topology, json!({"metadata": {"name": "t"}, "spec": spec}));
            let why = item.unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn a_field_that_only_a_later_release_knows_is_left_out() {
        let spec = json!({"pools": [], "addressPools": ["edge"]});
        let item = decoded(topology, json!({"metadata": {"name": "t"}, "spec": spec})).unwrap();
        let Item::Topology(declared, pruned) = item else { panic!("{item:?}") };
        assert_eq!(
            (declared.spec.address_pools, pruned[0].to_string()),
            (vec!["edge".to_owned()], "spec.pools".to_owned())
        );
    }

    #[test]
    fn an_empty_topology_is_the_built_in_one() {
        let item = decoded(topology, json!({"metadata": {"name": "t", "generation": 3}, "spec": {}}));
        let spec = GatewayTopologySpec::default();
        assert_eq!(
            item,
            Ok(Item::Topology(Box::new(Declared { generation: 3, created: None, spec }), Vec::new()))
        );
    }
}
