//! The state of a cluster, as manifests describe it: everything that an assessment reads.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::content::{metadata, name_of, rejected, set_default_namespace};
use super::decode::decode;
use super::{Document, Problem, inventory};
use crate::labels::Labels;
use crate::objects::Metadata;
use crate::snapshot::{Inventory, ObjectKey, Source, Speaker};

/// What manifests say about a cluster, and what in them cannot be used.
///
/// A kind counts as read if the input has an object of it. MetalLB's configuration is one whole: with one object of it,
/// all of its kinds count as read, because a dump of a cluster without an advertisement is how that looks.
#[must_use]
pub fn state(documents: &[Document], namespace: &str) -> (Inventory, Vec<Problem>) {
    let (mut inventory, mut problems) = inventory(documents, namespace);
    for document in documents {
        if let Err(problem) = add(&mut inventory, document, namespace)
            && !problems.contains(&problem)
        {
            problems.push(problem);
        }
    }
    (inventory, problems)
}

fn add(inventory: &mut Inventory, document: &Document, namespace: &str) -> Result<(), Problem> {
    let field = |name| document.value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    if api_version.starts_with("metallb.io/") && kind != "ServiceL2Status" {
        inventory.read.extend([
            Source::AddressPools,
            Source::LegacyAddressPools,
            Source::L2Advertisements,
            Source::BgpAdvertisements,
        ]);
    }
    match (api_version, kind) {
        ("v1", "Node") => {
            inventory.node_states.insert(identity(document, "")?.0.name, whole(document)?);
            inventory.read.insert(Source::Nodes);
        }
        ("v1", "Namespace") => {
            let (key, metadata) = identity(document, "")?;
            inventory.namespaces.insert(key.name, metadata.labels);
            inventory.read.insert(Source::Namespaces);
        }
        ("v1", "Pod") => {
            let (key, metadata) = identity(document, namespace)?;
            let pod: Running = whole(document)?;
            if is_speaker(&metadata.labels) {
                inventory.read.insert(Source::Speakers);
                let is_ready = pod.is_ready();
                inventory.speakers.insert(key, Speaker { node: pod.spec.node_name, is_ready });
            } else {
                inventory.read.insert(Source::Pods);
                inventory.pod_nodes.insert(key, pod.spec.node_name);
            }
        }
        ("v1", "Service") => {
            inventory.load_balancers.insert(identity(document, namespace)?.0, whole(document)?);
            inventory.read.insert(Source::Services);
        }
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            inventory.endpoint_slices.insert(identity(document, namespace)?.0, whole(document)?);
            inventory.read.insert(Source::EndpointSlices);
        }
        ("metallb.io/v1beta1", "IPAddressPool") => {
            inventory.pool_specs.insert(identity(document, namespace)?.0, spec(document)?);
        }
        ("metallb.io/v1alpha1" | "metallb.io/v1beta1", "AddressPool") => {
            inventory.legacy_pools.insert(identity(document, namespace)?.0, spec(document)?);
        }
        ("metallb.io/v1beta1", "BGPAdvertisement") => {
            inventory.bgp_advertisements.insert(identity(document, namespace)?.0, spec(document)?);
        }
        ("metallb.io/v1beta1", "ServiceL2Status") => {
            let report: Report = whole(document)?;
            let Status { node, service_name, service_namespace } = report.status;
            let service = ObjectKey { namespace: service_namespace, name: service_name };
            inventory.reported_announcers.entry(service).or_default().insert(node);
            inventory.read.insert(Source::L2Statuses);
        }
        _ => {}
    }
    Ok(())
}

fn identity(document: &Document, namespace: &str) -> Result<(ObjectKey, Metadata), Problem> {
    let mut metadata = metadata(document)?;
    set_default_namespace(&mut metadata, namespace);
    let name = name_of(document, &metadata)?;
    Ok((ObjectKey { namespace: metadata.namespace.clone(), name }, metadata))
}

fn whole<T: DeserializeOwned>(document: &Document) -> Result<T, Problem> {
    decode(&document.value).map_err(|error| rejected(document, error))
}

fn spec<T: DeserializeOwned + Default>(document: &Document) -> Result<T, Problem> {
    match document.value.get("spec") {
        None | Some(Value::Null) => Ok(T::default()),
        Some(spec) => decode(spec).map_err(|error| rejected(document, error.under(["spec"]))),
    }
}

/// The labels that MetalLB's manifests and its chart give speaker pods.
fn is_speaker(labels: &Labels) -> bool {
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|held| held == value);
    is("app", "metallb") && is("component", "speaker")
        || is("app.kubernetes.io/name", "metallb") && is("app.kubernetes.io/component", "speaker")
}

/// A pod, as far as it runs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Running {
    spec: Binding,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Binding {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Running {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

/// A `ServiceL2Status`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    node: String,
    service_name: String,
    service_namespace: String,
}
