//! Inventories from whole objects, for tests.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Declared, Inventory, ObjectKey, Source, Speaker};
use crate::labels::Labels;
use crate::objects::Workload;

/// Returns an inventory of these objects, in which every kind was read. Namespaced objects without a namespace are
/// placed in `metallb-system` if they are MetalLB's, otherwise in `istio-system`.
pub(crate) fn inventory_of<'o>(objects: impl IntoIterator<Item = &'o Value>) -> Inventory {
    let mut inventory = Inventory { read: Source::ALL.into(), ..Inventory::default() };
    for object in objects {
        add(&mut inventory, object);
    }
    inventory
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn decode<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn add(inventory: &mut Inventory, object: &Value) {
    let name = text(object, "/metadata/name");
    let namespace = match text(object, "/metadata/namespace") {
        empty if empty.is_empty() => match object["apiVersion"].as_str() {
            Some(version) if version.starts_with("metallb.io/") => "metallb-system".to_owned(),
            _ => "istio-system".to_owned(),
        },
        namespace => namespace,
    };
    let labels: Labels = object.pointer("/metadata/labels").map(decode).unwrap_or_default();
    let key = ObjectKey { namespace, name: name.clone() };
    let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    match text(object, "/kind").as_str() {
        "GatewayTopology" => {
            inventory.topologies.insert(name, Declared { generation: 1, created: None, spec: decode(&spec) });
        }
        "Node" => {
            inventory.node_states.insert(name.clone(), decode(object));
            inventory.nodes.insert(name, Arc::new(labels));
        }
        "Namespace" => drop(inventory.namespaces.insert(name, labels)),
        "Pod" if labels.get("app").is_some_and(|app| app == "metallb") => {
            let is_ready = object["ready"] != json!(false);
            let speaker = Speaker { node: text(object, "/spec/nodeName"), is_ready, ..Speaker::default() };
            inventory.speakers.insert(key, speaker);
        }
        "Pod" => {
            inventory.pod_nodes.insert(key.clone(), text(object, "/spec/nodeName"));
            inventory.pods.insert(key, labels);
        }
        "Service" => {
            inventory.load_balancers.insert(key.clone(), decode(object));
            inventory.services.insert(key, decode(object));
        }
        "EndpointSlice" => drop(inventory.endpoint_slices.insert(key, decode(object))),
        "IPAddressPool" => {
            inventory.pool_specs.insert(key.clone(), decode(&spec));
            inventory.pools.insert(key, labels);
        }
        "AddressPool" => drop(inventory.legacy_pools.insert(key, decode(&spec))),
        "L2Advertisement" => drop(inventory.advertisements.insert(key, decode(&spec))),
        "BGPAdvertisement" => drop(inventory.bgp_advertisements.insert(key, decode(&spec))),
        "ServiceL2Status" => {
            let service = ObjectKey {
                namespace: text(object, "/status/serviceNamespace"),
                name: text(object, "/status/serviceName"),
            };
            inventory.reported_announcers.entry(service).or_default().insert(text(object, "/status/node"));
        }
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let workload: Workload = decode(object);
            inventory.workloads.entry(workload.kind).or_default().insert(key, workload);
        }
        "PodDisruptionBudget" => drop(inventory.disruption_budgets.insert(key, decode(object))),
        other => panic!("no facts are made of `{other}`"),
    }
}
