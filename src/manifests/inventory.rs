//! The facts that manifests state.

use std::sync::Arc;

use serde_json::Value;

use super::decode::decode;
use super::kinds::{Known, Template, known};
use super::subject::{head, name_of, place_in, refused, templated, whole};
use super::{Document, ManifestError, Problem};
use crate::field::FieldPath;
use crate::objects::Object;
use crate::snapshot::{Declared, Inventory, ObjectKey};
use crate::topology::GatewayTopologySpec;

/// What manifests say about the cluster, and what in them cannot be used. Where two objects have the same
/// name the later one counts, as if they were applied in turn.
///
/// Namespaced objects without a namespace belong to `namespace`, as with `kubectl --namespace`.
#[must_use]
pub fn inventory(documents: &[Document], namespace: &str) -> (Inventory, Vec<Problem>) {
    let mut inventory = Inventory::default();
    let added = |document| add(&mut inventory, document, namespace).err();
    let problems = documents.iter().filter_map(added).collect();
    (inventory, problems)
}

fn add(inventory: &mut Inventory, document: &Document, namespace: &str) -> Result<(), Problem> {
    match known(&document.value) {
        Some(Known::Topology) => {
            let (name, declared) = topology(document)?;
            inventory.topologies.insert(name, declared);
        }
        Some(Known::UnknownOfOurs) => return Err(unknown_of_ours(document)),
        Some(Known::Node) => {
            let metadata = head(document)?;
            let name = name_of(document, &metadata)?;
            inventory.nodes.insert(name, Arc::new(metadata.labels));
        }
        Some(Known::Pool) => {
            let mut metadata = head(document)?;
            place_in(&mut metadata, namespace);
            let name = name_of(document, &metadata)?;
            inventory.pools.insert(ObjectKey { namespace: metadata.namespace, name }, metadata.labels);
        }
        Some(Known::Judged(kind)) => {
            let candidate = whole(document, kind, namespace)?;
            let key = ObjectKey { namespace: candidate.namespace, name: candidate.name };
            add_object(inventory, key, candidate.change.object);
        }
        Some(Known::Workload(template)) => add_template(inventory, document, template, namespace)?,
        Some(Known::Review) | None => {}
    }
    Ok(())
}

fn add_object(inventory: &mut Inventory, key: ObjectKey, object: Object) {
    match object {
        Object::Pod(pod) => {
            inventory.pods.insert(key, pod.metadata.labels);
        }
        Object::DaemonSet(daemon_set) => {
            let template = daemon_set.spec.map(|spec| spec.template.metadata).unwrap_or_default();
            inventory.pods.insert(pod_of("DaemonSet", key), template.labels);
        }
        Object::Service(service) => {
            inventory.services.insert(key, service);
        }
        Object::L2Advertisement(advertisement) => {
            inventory.advertisements.insert(key, advertisement.spec);
        }
    }
}

/// A workload stands for pods with its template's labels: a Service may select them by these alone.
fn add_template(
    inventory: &mut Inventory,
    document: &Document,
    template: Template,
    namespace: &str,
) -> Result<(), Problem> {
    if let Some(candidate) = templated(document, template, namespace)? {
        let key = ObjectKey { namespace: candidate.namespace, name: candidate.name };
        let labels = candidate.change.object.metadata().labels.clone();
        inventory.pods.insert(pod_of(&candidate.kind, key), labels);
    }
    Ok(())
}

/// A name that no real pod can have, so that none is overwritten.
fn pod_of(kind: &str, workload: ObjectKey) -> ObjectKey {
    ObjectKey { name: format!("{kind}/{}", workload.name), ..workload }
}

/// A topology, after the same checks that the API server makes.
fn topology(document: &Document) -> Result<(String, Declared), Problem> {
    // Whatever is wrong in here hides the topology from every verdict.
    let hidden =
        |problem: Problem| Problem { error: ManifestError::Topology(problem.error.to_string()), ..problem };
    let metadata = head(document).map_err(hidden)?;
    let name = name_of(document, &metadata).map_err(hidden)?;
    let Some(value) = document.value.get("spec") else {
        let text = "`spec` is missing: write `spec: {}` for the built-in defaults".to_owned();
        return Err(wrong(document, &FieldPath::fields(["spec"]), text));
    };
    let spec: GatewayTopologySpec =
        decode(value).map_err(|error| hidden(refused(document, error.under(["spec"]))))?;
    spec.check()
        .map_err(|error| wrong(document, &error.field, format!("`{}`: {}", error.field, error.problem)))?;
    Ok((name, Declared { generation: metadata.generation, spec }))
}

fn unknown_of_ours(document: &Document) -> Problem {
    let field = |name| document.value.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = format!(
        "there is no `{}` `{}`: use `lockstep.dev/v1alpha1` `GatewayTopology`",
        field("apiVersion"),
        field("kind")
    );
    wrong(document, &FieldPath::fields(["apiVersion"]), text)
}

fn wrong(document: &Document, field: &FieldPath, text: String) -> Problem {
    Problem::at(&document.source, document.place(field).mark, ManifestError::Topology(text))
}
