//! The facts that an object states. Each object is decoded once, into what a snapshot is made of and what rules judge.

use std::sync::Arc;

use kube::Resource;
use lockstep_core::escape::excerpt;
use serde_json::Value;

use super::decode::{DecodeError, decode, decode_seed};
use super::{Document, ManifestError, ObjectError, Problem};
use crate::change::Change;
use crate::field::FieldPath;
use crate::labels::Labels;
use crate::objects::{Kind, Metadata, Node, Object};
use crate::snapshot::{Declared, Inventory, ObjectKey};
use crate::topology::{GatewayTopology, GatewayTopologySpec};

/// The decoded content of an object.
#[derive(Debug, Clone)]
pub enum Content {
    /// A `GatewayTopology`.
    Topology {
        /// Its name.
        name: String,
        /// Its generation and spec.
        declared: Box<Declared>,
    },
    /// A node.
    Node {
        /// Its name.
        name: String,
        /// Its labels.
        labels: Arc<Labels>,
    },
    /// An object that rules judge, or a workload that creates such pods.
    Candidate(Box<Candidate>),
    /// A recorded `AdmissionReview`. The webhook's own codec reads it.
    Review,
}

/// A request that applying a document would cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The kind of the document's object: `Deployment` for the pods that a Deployment creates.
    pub kind: String,
    /// The namespace of the document's object.
    pub namespace: String,
    /// The name of the document's object.
    pub name: String,
    /// The request as rules see it.
    pub change: Change,
    /// Where the judged object is in the document: empty for the whole document, `spec.template` for a Deployment's pods.
    pub path: FieldPath,
}

impl Content {
    /// Decodes an object; `None` for kinds that neither a snapshot nor a rule uses.
    ///
    /// A workload is judged as a pod that it creates. Only a `DaemonSet` is judged itself: its controller schedules by the
    /// template, and the rules take that into account. Namespaced objects without a namespace belong to `namespace`, as
    /// with `kubectl --namespace`.
    ///
    /// # Errors
    /// [`ObjectError`] for an object that the API server would reject.
    pub fn of(object: &Value, namespace: &str) -> Result<Option<Self>, ObjectError> {
        Ok(Some(match Known::of(object) {
            Some(Known::Topology) => topology(object)?,
            Some(Known::UnknownInOurGroup) => return Err(unknown_kind(object)),
            Some(Known::Node) => {
                let metadata = metadata(object)?;
                Self::Node { name: name_of(&metadata)?, labels: Arc::new(metadata.labels) }
            }
            Some(Known::Judged(kind)) => Self::Candidate(Box::new(judged(object, kind, namespace)?)),
            Some(Known::Workload(template)) => {
                let Some(pod) = pod_of_workload(object, template, namespace)? else { return Ok(None) };
                Self::Candidate(Box::new(pod))
            }
            Some(Known::Review) => Self::Review,
            None => return Ok(None),
        }))
    }

    /// Decodes a document, as [`Content::of`] does an object.
    ///
    /// # Errors
    /// [`Problem`] with the place of the value, for an object that the API server would reject, and for a kind that is most
    /// likely misspelt.
    pub fn read(document: &Document, namespace: &str) -> Result<Option<Self>, Problem> {
        super::kinds::check(&document.value).map_err(|error| document.problem(error))?;
        Self::of(&document.value, namespace).map_err(|error| document.problem(error))
    }

    /// Adds to the inventory what the content states about the cluster. A later object replaces an earlier one of the same
    /// name, as if they were applied in turn.
    pub fn add_to(&self, inventory: &mut Inventory) {
        match self {
            Self::Topology { name, declared } => {
                inventory.topologies.insert(name.clone(), Declared::clone(declared));
            }
            Self::Node { name, labels } => {
                inventory.nodes.insert(name.clone(), Arc::clone(labels));
            }
            Self::Candidate(candidate) => candidate.add_to(inventory),
            Self::Review => {}
        }
    }
}

impl Candidate {
    /// The same request after its object was edited.
    ///
    /// # Errors
    /// [`DecodeError`] if the edited value no longer decodes as an object of its kind.
    pub fn edited(&self, value: &Value) -> Result<Change, DecodeError> {
        let mut object = decode_object(value, self.change.object.kind())?;
        let (metadata, own) = (object.metadata_mut(), self.change.object.metadata());
        metadata.name.clone_from(&own.name);
        metadata.generate_name.clone_from(&own.generate_name);
        metadata.namespace.clone_from(&own.namespace);
        Ok(Change { object, ..self.change.clone() })
    }

    fn add_to(&self, inventory: &mut Inventory) {
        let key = ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() };
        match &self.change.object {
            Object::Pod(pod) if self.path == FieldPath::default() => {
                inventory.pods.insert(key, pod.metadata.labels.clone());
            }
            // A workload stands for its pods: a Service may select them by the template's labels.
            Object::Pod(pod) => {
                inventory.pods.insert(pod_key(&self.kind, key), pod.metadata.labels.clone());
            }
            Object::DaemonSet(daemon_set) => {
                let template = daemon_set.spec.as_ref().map(|spec| &spec.template.metadata);
                let labels = template.map(|metadata| metadata.labels.clone()).unwrap_or_default();
                inventory.pods.insert(pod_key(&self.kind, key), labels);
            }
            Object::Service(service, _) => {
                inventory.services.insert(key, service.clone());
            }
            Object::L2Advertisement(advertisement) => {
                inventory.advertisements.insert(key, advertisement.spec.clone());
            }
            Object::IpAddressPool(pool) => {
                inventory.pools.insert(key, pool.metadata.labels.clone());
            }
            // Only assessments read them. A workload is decoded as one of its pods.
            Object::BgpAdvertisement(_) | Object::AddressPool(_) | Object::Workload(..) => {}
        }
    }
}

/// Collects what documents state about the cluster, and what in them cannot be used.
#[must_use]
pub fn inventory(documents: &[Document], namespace: &str) -> (Inventory, Vec<Problem>) {
    let mut inventory = Inventory::default();
    let mut problems = Vec::new();
    for document in documents {
        problems.extend(add(&mut inventory, document, namespace).err());
    }
    (inventory, problems)
}

/// Adds what a document states about the cluster to the inventory.
///
/// # Errors
/// [`Problem`] for an object that the API server would reject.
pub fn add(inventory: &mut Inventory, document: &Document, namespace: &str) -> Result<(), Problem> {
    if let Some(content) = Content::read(document, namespace)? {
        content.add_to(inventory);
    }
    Ok(())
}

/// A kind that is decoded, by `apiVersion` and `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Topology,
    /// Another version or kind of Lockstep's own group. Ignoring it would silently disable a misspelled topology.
    UnknownInOurGroup,
    Node,
    /// A kind that rules judge.
    Judged(Kind),
    /// A kind that creates pods from a template.
    Workload(Template),
    Review,
}

/// Where a workload has the template of its pods. A kind is recognised by the template alone, because operators bring their
/// own: Argo's `Rollout`, `OpenKruise`'s `CloneSet`, Knative's `Service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Template {
    /// `template`, of a `PodTemplate`
    Own,
    /// `spec.template`
    OfSpec,
    /// `spec.jobTemplate.spec.template`
    OfJob,
    /// `spec.template.jobTemplate.spec.template`
    OfNestedJob,
}

impl Known {
    fn of(object: &Value) -> Option<Self> {
        let field = |name| object.get(name).and_then(Value::as_str);
        let (api_version, kind) = (field("apiVersion")?, field("kind")?);
        if api_version.split_once('/').is_some_and(|(group, _)| group == GatewayTopology::group(&())) {
            let is_topology =
                api_version == GatewayTopology::api_version(&()) && kind == GatewayTopology::kind(&());
            return Some(if is_topology { Self::Topology } else { Self::UnknownInOurGroup });
        }
        Some(match (api_version, kind) {
            ("v1", "Node") => Self::Node,
            ("v1", "Pod") => Self::Judged(Kind::Pod),
            ("v1", "Service") => Self::Judged(Kind::Service),
            ("apps/v1", "DaemonSet") => Self::Judged(Kind::DaemonSet),
            ("metallb.io/v1beta1", "L2Advertisement") => Self::Judged(Kind::L2Advertisement),
            ("metallb.io/v1beta1", "IPAddressPool") => Self::Judged(Kind::IpAddressPool),
            ("metallb.io/v1beta1", "BGPAdvertisement") => Self::Judged(Kind::BgpAdvertisement),
            ("metallb.io/v1alpha1" | "metallb.io/v1beta1", "AddressPool") => Self::Judged(Kind::AddressPool),
            ("apps/v1", "Deployment" | "StatefulSet" | "ReplicaSet")
            | ("v1", "ReplicationController")
            | ("batch/v1", "Job") => Self::Workload(Template::OfSpec),
            ("batch/v1", "CronJob") => Self::Workload(Template::OfJob),
            ("admission.k8s.io/v1", "AdmissionReview") => Self::Review,
            _ => return Template::of(object).map(Self::Workload),
        })
    }
}

impl Template {
    /// The template of an object's pods: a map whose spec has containers. `None` for any other object.
    fn of(object: &Value) -> Option<Self> {
        [Self::OfSpec, Self::OfJob, Self::OfNestedJob, Self::Own].into_iter().find(|template| {
            template
                .value(object)
                .and_then(|pod| pod.get("spec")?.get("containers"))
                .is_some_and(Value::is_array)
        })
    }

    /// The template in the object.
    fn value(self, object: &Value) -> Option<&Value> {
        let fields: &[&str] = match self {
            Self::Own => &["template"],
            Self::OfSpec => &["spec", "template"],
            Self::OfJob => &["spec", "jobTemplate", "spec", "template"],
            Self::OfNestedJob => &["spec", "template", "jobTemplate", "spec", "template"],
        };
        fields.iter().try_fold(object, |value, field| value.get(field))
    }

    fn path(self) -> FieldPath {
        match self {
            Self::Own => FieldPath::fields(["template"]),
            Self::OfNestedJob => FieldPath::fields(["spec", "template", "jobTemplate", "spec", "template"]),
            Self::OfSpec => FieldPath::fields(["spec", "template"]),
            Self::OfJob => FieldPath::fields(["spec", "jobTemplate", "spec", "template"]),
        }
    }
}

/// A topology, after the checks that the API server makes.
fn topology(object: &Value) -> Result<Content, ObjectError> {
    // Whatever is wrong here hides the topology from every verdict.
    let hidden =
        |error: ObjectError| ObjectError { error: ManifestError::Topology(error.error.to_string()), ..error };
    let metadata = metadata(object).map_err(hidden)?;
    let name = name_of(&metadata).map_err(hidden)?;
    let Some(value) = object.get("spec") else {
        let text = "`spec` is missing: write `spec: {}` for the built-in defaults".to_owned();
        return Err(wrong(&FieldPath::fields(["spec"]), text));
    };
    let spec: GatewayTopologySpec =
        decode(value).map_err(|error| hidden(ObjectError::from(error.under(["spec"]))))?;
    spec.check().map_err(|error| wrong(&error.field, format!("`{}`: {}", error.field, error.problem)))?;
    let declared = Declared { generation: metadata.generation, created: metadata.created, spec };
    Ok(Content::Topology { name, declared: Box::new(declared) })
}

/// An object that is itself judged.
fn judged(value: &Value, kind: Kind, namespace: &str) -> Result<Candidate, ObjectError> {
    let mut object = decode_object(value, kind)?;
    let metadata = object.metadata_mut();
    set_default_namespace(metadata, namespace);
    let name = name_of(metadata)?;
    let (namespace, own_name) = (metadata.namespace.clone(), metadata.name.clone());
    Ok(Candidate {
        kind: kind_of(value),
        change: Change::create(namespace.as_str(), own_name, object),
        namespace,
        name,
        path: FieldPath::default(),
    })
}

/// The pod that a workload creates; `None` where it has no template.
fn pod_of_workload(
    object: &Value,
    template: Template,
    namespace: &str,
) -> Result<Option<Candidate>, ObjectError> {
    let mut workload = metadata(object)?;
    set_default_namespace(&mut workload, namespace);
    let name = name_of(&workload)?;
    let path = template.path();
    let Some(value) = template.value(object) else { return Ok(None) };
    let mut pod = decode_object(value, Kind::Pod).map_err(|error| error.under(path.tokens()))?;
    let metadata = pod.metadata_mut();
    metadata.namespace.clone_from(&workload.namespace);
    // The API server generates the name after admission.
    metadata.name.clear();
    metadata.generate_name = format!("{name}-");
    Ok(Some(Candidate {
        kind: kind_of(object),
        change: Change::create(workload.namespace.as_str(), "", pod),
        namespace: workload.namespace,
        name,
        path,
    }))
}

/// The key of a workload's pods in the inventory: a name that no pod can have, so that none is replaced.
fn pod_key(kind: &str, workload: ObjectKey) -> ObjectKey {
    ObjectKey { name: format!("{kind}/{}", workload.name), ..workload }
}

pub(super) fn metadata(object: &Value) -> Result<Metadata, ObjectError> {
    let object: Node = decode(object)?;
    Ok(object.metadata)
}

/// The name, or the prefix of the name that the API server generates.
pub(super) fn name_of(metadata: &Metadata) -> Result<String, ObjectError> {
    let name = if metadata.name.is_empty() { &metadata.generate_name } else { &metadata.name };
    if name.is_empty() {
        return Err(ObjectError { path: vec!["metadata".to_owned()], error: ManifestError::NoName });
    }
    Ok(name.clone())
}

/// The namespace that kubectl would create the object in.
pub(super) fn set_default_namespace(metadata: &mut Metadata, namespace: &str) {
    if metadata.namespace.is_empty() {
        namespace.clone_into(&mut metadata.namespace);
    }
}

fn decode_object(value: &Value, kind: Kind) -> Result<Object, DecodeError> {
    match decode_seed(value, kind)? {
        Some(object) => Ok(object),
        // The API server reads null as empty.
        None => decode_object(&Value::Object(serde_json::Map::new()), kind),
    }
}

fn kind_of(object: &Value) -> String {
    object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn unknown_kind(object: &Value) -> ObjectError {
    let field = |name| excerpt(object.get(name).and_then(Value::as_str).unwrap_or_default());
    let (field, text) = if kind_of(object) == GatewayTopology::kind(&()) {
        let text = format!("unknown `apiVersion` `{}` of kind GatewayTopology", field("apiVersion"));
        ("apiVersion", format!("{text}: write `lockstep.dev/v1alpha1`"))
    } else {
        ("kind", format!("unknown kind `{}` of Lockstep: write `GatewayTopology`", field("kind")))
    };
    wrong(&FieldPath::fields([field]), text)
}

fn wrong(field: &FieldPath, text: String) -> ObjectError {
    let path = field.tokens().map(|token| token.as_ref().to_owned()).collect();
    ObjectError { path, error: ManifestError::Topology(text) }
}
