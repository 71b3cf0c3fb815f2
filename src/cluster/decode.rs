//! Decoding of objects from the API server into the parts that a snapshot keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::labels::Labels;
use crate::objects::{AdvertisementSpec, Metadata, Service};
use crate::snapshot::{Declared, Inventory, ObjectKey};
use crate::topology::{GatewayTopologySpec, GatewayTopologyStatus};

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

    /// Returns the spec of a usable topology, or the reason why it is not usable.
    pub(super) fn topology(mut self) -> Result<Declared, String> {
        let spec: GatewayTopologySpec = self.take("spec")?.ok_or("spec: it is missing")?;
        spec.check().map_err(|error| error.to_string())?;
        Ok(Declared { generation: self.metadata.generation.unwrap_or_default(), spec })
    }

    /// Takes the status of a topology out of the object; empty if it does not decode.
    pub(super) fn take_status(&mut self) -> GatewayTopologyStatus {
        self.take("status").ok().flatten().unwrap_or_default()
    }

    fn take<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, String> {
        let value = self.rest.get_mut(field).map(Value::take).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| format!("{field}: {error}"))
    }
}

/// The part of an object that a snapshot keeps. Rare and large variants are boxed, so that a node stays small.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// The labels of a node; shared with every snapshot.
    Node(Arc<Labels>),
    Topology(Box<Declared>),
    Service(Box<Service>),
    Pod(Labels),
    Pool(Labels),
    Advertisement(Box<AdvertisementSpec>),
    /// The reason why the object cannot be used. The object is left out of the snapshot.
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
            Self::Node(labels) => drop(inventory.nodes.insert(name(), labels.clone())),
            Self::Topology(declared) => {
                drop(inventory.topologies.insert(name(), declared.as_ref().clone()));
            }
            Self::Service(service) => drop(inventory.services.insert(key(), service.as_ref().clone())),
            Self::Pod(labels) => drop(inventory.pods.insert(key(), labels.clone())),
            Self::Pool(labels) => drop(inventory.pools.insert(key(), labels.clone())),
            Self::Advertisement(spec) => {
                drop(inventory.advertisements.insert(key(), spec.as_ref().clone()));
            }
            Self::Unusable(_) => {}
        }
    }
}

pub(super) fn node(object: ReceivedObject) -> Result<Item, String> {
    Ok(Item::Node(Arc::new(labels(object.metadata.labels))))
}

pub(super) fn pod(object: ReceivedObject) -> Result<Item, String> {
    Ok(Item::Pod(labels(object.metadata.labels)))
}

pub(super) fn pool(object: ReceivedObject) -> Result<Item, String> {
    Ok(Item::Pool(labels(object.metadata.labels)))
}

pub(super) fn topology(object: ReceivedObject) -> Result<Item, String> {
    object.topology().map(|declared| Item::Topology(Box::new(declared)))
}

pub(super) fn advertisement(mut object: ReceivedObject) -> Result<Item, String> {
    let spec: Option<AdvertisementSpec> = object.take("spec")?;
    Ok(Item::Advertisement(Box::new(spec.unwrap_or_default())))
}

/// Decodes a Service, without metadata that changes often and that no rule reads.
pub(super) fn service(mut object: ReceivedObject) -> Result<Item, String> {
    let spec = object.take("spec")?;
    let metadata = object.metadata;
    let metadata = Metadata {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        labels: labels(metadata.labels),
        is_terminating: metadata.deletion_timestamp.is_some(),
        ..Metadata::default()
    };
    Ok(Item::Service(Box::new(Service { metadata, spec })))
}

fn labels(held: Option<BTreeMap<String, String>>) -> Labels {
    held.into_iter().flatten().map(|(key, value)| (key.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        assert_eq!(service.metadata.name, "gateway");
        assert_eq!(service.metadata.labels.get("app").unwrap(), "gateway");
        assert_eq!(service.spec.unwrap().kind, "LoadBalancer");
    }

    #[test]
    fn the_reason_for_an_unusable_topology_names_its_field() {
        for (spec, expected) in [
            (json!({"gateway": {"podLabels": {}}}), "spec.gateway.podLabels: "),
            (json!({"addressPools": []}), "spec.addressPools: "),
            (json!({"pools": []}), "spec: unknown field `pools`"),
            (Value::Null, "spec: it is missing"),
        ] {
            let item = decoded(topology, json!({"metadata": {"name": "t"}, "spec": spec}));
            let why = item.unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn an_empty_topology_is_the_built_in_one() {
        let item = decoded(topology, json!({"metadata": {"name": "t", "generation": 3}, "spec": {}}));
        let spec = GatewayTopologySpec::default();
        assert_eq!(item, Ok(Item::Topology(Box::new(Declared { generation: 3, spec }))));
    }
}
