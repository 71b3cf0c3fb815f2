//! The state of a cluster, as its objects describe it: everything that an assessment reads.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::content::{Content, metadata, name_of, set_default_namespace};
use super::decode::decode;
use super::{Document, ObjectError, Problem};
use crate::objects::{Metadata, ServiceL2Status, Workload};
use crate::snapshot::{Inventory, ObjectKey, RunningPod, Source};

/// Returns the state that manifests describe, and their problems.
///
/// A kind counts as read if the input has an object of it. MetalLB's configuration is one whole: with one object of it,
/// all of its kinds count as read, because a dump of a cluster without an advertisement is how that looks. So are workloads.
#[must_use]
pub fn state(documents: &[Document], namespace: &str) -> (Inventory, Vec<Problem>) {
    let (mut inventory, mut problems) = (Inventory::default(), Vec::new());
    for document in documents {
        match add_state(&mut inventory, &document.value, namespace) {
            Ok(added) => inventory.read.extend(added),
            Err(error) => problems.push(document.problem(error)),
        }
    }
    inventory.infer_settings();
    (inventory, problems)
}

/// Returns the changes that applying manifests would make in a cluster, and the problems of the manifests: their objects,
/// without the state of nodes whose taints and conditions they do not give.
#[must_use]
pub fn changes(documents: &[Document], namespace: &str) -> (Inventory, Vec<Problem>) {
    let (mut inventory, problems) = state(documents, namespace);
    let gives =
        |document: &Document, pointer| document.value.pointer(pointer).is_some_and(|value| !value.is_null());
    let given: BTreeSet<&str> = documents
        .iter()
        .filter(|document| gives(document, "/spec/taints") || gives(document, "/status/conditions"))
        .filter_map(|document| document.value.pointer("/metadata/name")?.as_str())
        .collect();
    inventory.node_states.retain(|name, _| given.contains(name.as_str()));
    (inventory, problems)
}

/// Adds an object to an inventory, but not to its [`read`](Inventory::read): what was read in full, only the caller knows.
/// Returns the kinds that have an object now. Namespaced objects without a namespace belong to `namespace`.
///
/// # Errors
/// [`ObjectError`] for an object that the API server would reject.
pub fn add_state(
    inventory: &mut Inventory,
    object: &Value,
    namespace: &str,
) -> Result<Vec<Source>, ObjectError> {
    if let Some(content) = Content::of(object, namespace)? {
        content.add_to(inventory);
    }
    add_assessed(inventory, object, namespace)
}

/// Adds what only assessments read of an object: [`add_state`] for an object whose [`Content`] was added already.
///
/// # Errors
/// [`ObjectError`] for an object that the API server would reject.
pub fn add_assessed(
    inventory: &mut Inventory,
    object: &Value,
    namespace: &str,
) -> Result<Vec<Source>, ObjectError> {
    let field = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    Ok(match (api_version, kind) {
        ("v1", "Node") => {
            inventory.node_states.insert(identity(object, "")?.0.name, decode(object)?);
            vec![Source::Nodes]
        }
        ("v1", "Namespace") => {
            let (key, metadata) = identity(object, "")?;
            inventory.namespaces.insert(key.name, metadata.labels);
            vec![Source::Namespaces]
        }
        ("v1", "Pod") => {
            let (key, metadata) = identity(object, namespace)?;
            let pod: RunningPod = decode(object)?;
            if pod.is_speaker(&metadata.labels) {
                inventory.speakers.insert(key, pod.into());
                vec![Source::Speakers]
            } else {
                inventory.pod_nodes.insert(key, pod.into_node());
                vec![Source::Pods]
            }
        }
        ("v1", "Service") => {
            inventory.load_balancers.insert(identity(object, namespace)?.0, decode(object)?);
            vec![Source::Services]
        }
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            inventory.endpoint_slices.insert(identity(object, namespace)?.0, decode(object)?);
            vec![Source::EndpointSlices]
        }
        ("metallb.io/v1beta1", "ServiceL2Status") => {
            let report: Report = decode(object)?;
            let ServiceL2Status { node, service_name, service_namespace } = report.status;
            let service = ObjectKey { namespace: service_namespace, name: service_name };
            inventory.reported_announcers.entry(service).or_default().insert(node);
            vec![Source::L2Statuses]
        }
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet") => {
            let workload: Workload = decode(object)?;
            let held = inventory.workloads.entry(workload.kind).or_default();
            held.insert(identity(object, namespace)?.0, workload);
            WORKLOADS.to_vec()
        }
        ("policy/v1", "PodDisruptionBudget") => {
            inventory.disruption_budgets.insert(identity(object, namespace)?.0, decode(object)?);
            vec![Source::DisruptionBudgets]
        }
        (api_version, kind) if api_version.starts_with("metallb.io/") => {
            add_configuration(inventory, object, (api_version, kind), namespace)?;
            CONFIGURATION.to_vec()
        }
        _ => Vec::new(),
    })
}

/// The kinds of MetalLB's configuration.
const CONFIGURATION: [Source; 4] =
    [Source::AddressPools, Source::LegacyAddressPools, Source::L2Advertisements, Source::BgpAdvertisements];

/// The kinds of workloads. A dump of a cluster in which the gateway is a Deployment often has no other workload.
const WORKLOADS: [Source; 3] = [Source::Deployments, Source::StatefulSets, Source::DaemonSets];

fn add_configuration(
    inventory: &mut Inventory,
    object: &Value,
    kind: (&str, &str),
    namespace: &str,
) -> Result<(), ObjectError> {
    let key = || identity(object, namespace).map(|(key, _)| key);
    match kind {
        ("metallb.io/v1beta1", "IPAddressPool") => drop(inventory.pool_specs.insert(key()?, spec(object)?)),
        ("metallb.io/v1alpha1" | "metallb.io/v1beta1", "AddressPool") => {
            inventory.legacy_pools.insert(key()?, spec(object)?);
        }
        ("metallb.io/v1beta1", "BGPAdvertisement") => {
            inventory.bgp_advertisements.insert(key()?, spec(object)?);
        }
        _ => {}
    }
    Ok(())
}

fn identity(object: &Value, namespace: &str) -> Result<(ObjectKey, Metadata), ObjectError> {
    let mut metadata = metadata(object)?;
    set_default_namespace(&mut metadata, namespace);
    let name = name_of(&metadata)?;
    Ok((ObjectKey { namespace: metadata.namespace.clone(), name }, metadata))
}

fn spec<T: DeserializeOwned + Default>(object: &Value) -> Result<T, ObjectError> {
    match object.get("spec") {
        None | Some(Value::Null) => Ok(T::default()),
        Some(spec) => Ok(decode(spec).map_err(|error| error.under(["spec"]))?),
    }
}

/// A `ServiceL2Status`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    status: ServiceL2Status,
}
