//! An object, cut down to what facts are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Watched;
use crate::labels::Labels;
use crate::objects::{AdvertisementSpec, Metadata, Service};
use crate::snapshot::{Declared, ObjectKey};
use crate::topology::GatewayTopologySpec;

/// An object as it came, whole or metadata alone.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) metadata: ObjectMeta,
    /// What is beside the metadata; null where only metadata was asked for.
    pub(super) rest: Value,
}

impl From<DynamicObject> for Raw {
    fn from(object: DynamicObject) -> Self {
        Self { metadata: object.metadata, rest: object.data }
    }
}

impl<K> From<PartialObjectMeta<K>> for Raw {
    fn from(object: PartialObjectMeta<K>) -> Self {
        Self { metadata: object.metadata, rest: Value::Null }
    }
}

impl Raw {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// What is kept of an object. The rare and large ones are boxed, or every node would be as large.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Node(Arc<Labels>),
    Topology(Box<Declared>),
    Service(Box<Service>),
    Pod(Labels),
    Pool(Labels),
    Advertisement(Box<AdvertisementSpec>),
    /// It cannot be used, and why. It is left out of the facts.
    ///
    /// For a stored advertisement this is the strict reading: no gateway node counts as announced because of
    /// it, and `MetalLB`, which reads the same fields into stricter types, cannot use it either. A stored
    /// Service has passed the API server's own types, which are stricter, too; were there one, advertisements
    /// would be judged without its labels, and every change of the Service itself as ever.
    Unusable(String),
}

impl Item {
    /// Reads an object of `kind`.
    pub(super) fn read(kind: Watched, raw: impl Into<Raw>) -> (ObjectKey, Self) {
        let raw = raw.into();
        let key = raw.key();
        let Raw { metadata, rest } = raw;
        let item = match kind {
            Watched::Node => Ok(Self::Node(Arc::new(labels(metadata.labels)))),
            Watched::Pod => Ok(Self::Pod(labels(metadata.labels))),
            Watched::IPAddressPool => Ok(Self::Pool(labels(metadata.labels))),
            Watched::GatewayTopology => {
                topology(&metadata, rest).map(|declared| Self::Topology(Box::new(declared)))
            }
            Watched::L2Advertisement => {
                spec(rest).map(|spec: Option<_>| Self::Advertisement(Box::new(spec.unwrap_or_default())))
            }
            Watched::Service => spec(rest).map(|spec| {
                let metadata = kept(metadata);
                Self::Service(Box::new(Service { metadata, spec }))
            }),
            Watched::MutatingWebhookConfiguration | Watched::ValidatingWebhookConfiguration => {
                Err("no facts are made of it".to_owned())
            }
        };
        (key, item.unwrap_or_else(Self::Unusable))
    }
}

/// A topology that can be used, or why this one cannot.
pub(super) fn topology(metadata: &ObjectMeta, rest: Value) -> Result<Declared, String> {
    let spec: GatewayTopologySpec = spec(rest)?.ok_or("spec: it is missing")?;
    spec.check().map_err(|error| error.to_string())?;
    Ok(Declared { generation: metadata.generation.unwrap_or_default(), spec })
}

fn spec<T: DeserializeOwned>(mut rest: Value) -> Result<Option<T>, String> {
    let spec = rest.get_mut("spec").map(Value::take).unwrap_or_default();
    serde_json::from_value(spec).map_err(|error| format!("spec: {error}"))
}

fn labels(held: Option<BTreeMap<String, String>>) -> Labels {
    held.into_iter().flatten().map(|(key, value)| (key.into(), value.into())).collect()
}

/// The metadata that rules read, without what changes too often and means nothing to them.
fn kept(metadata: ObjectMeta) -> Metadata {
    Metadata {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        labels: labels(metadata.labels),
        is_terminating: metadata.deletion_timestamp.is_some(),
        ..Metadata::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: Watched, object: Value) -> Item {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        Item::read(kind, object).1
    }

    #[test]
    fn an_advertisement_without_a_spec_is_one() {
        let item = read(Watched::L2Advertisement, json!({"metadata": {"name": "a"}}));
        assert_eq!(item, Item::Advertisement(Box::default()));
    }

    #[test]
    fn an_advertisement_that_does_not_decode_says_why() {
        let item =
            read(Watched::L2Advertisement, json!({"metadata": {"name": "a"}, "spec": {"ipAddressPools": 7}}));
        let Item::Unusable(why) = item else {
            panic!("it is used: {item:?}");
        };
        assert_eq!(why, "spec: invalid type: integer `7`, expected a sequence");
    }

    #[test]
    fn a_service_keeps_what_rules_read() {
        let item = read(
            Watched::Service,
            json!({
                "metadata": {
                    "name": "gateway", "namespace": "istio-system", "labels": {"app": "gateway"},
                    "resourceVersion": "17", "managedFields": [{"manager": "helm"}],
                },
                "spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}},
                "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
            }),
        );
        let Item::Service(service) = item else {
            panic!("it is not used: {item:?}");
        };
        assert_eq!(service.metadata.name, "gateway");
        assert_eq!(service.metadata.labels.get("app").unwrap(), "gateway");
        assert_eq!(service.spec.unwrap().kind, "LoadBalancer");
    }

    #[test]
    fn an_invalid_topology_names_its_field() {
        for (spec, expected) in [
            (json!({"gateway": {"podLabels": {}}}), "spec.gateway.podLabels: "),
            (json!({"addressPools": []}), "spec.addressPools: "),
            (json!({"pools": []}), "spec: unknown field `pools`"),
            (Value::Null, "spec: it is missing"),
        ] {
            let item = read(Watched::GatewayTopology, json!({"metadata": {"name": "t"}, "spec": spec}));
            let Item::Unusable(why) = item else {
                panic!("it is used: {item:?}");
            };
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn an_empty_topology_is_the_built_in_one() {
        let item =
            read(Watched::GatewayTopology, json!({"metadata": {"name": "t", "generation": 3}, "spec": {}}));
        let spec = GatewayTopologySpec::default();
        assert_eq!(item, Item::Topology(Box::new(Declared { generation: 3, spec })));
    }
}
