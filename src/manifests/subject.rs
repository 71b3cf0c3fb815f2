//! What a manifest holds for the rules to judge.

use serde_json::Value;

use super::decode::{DecodeError, decode, decode_seed};
use super::kinds::{Known, Template, known};
use super::{Document, ManifestError, Problem};
use crate::change::Change;
use crate::field::FieldPath;
use crate::objects::{Kind, Metadata, Node, Object};

/// Something to judge.
#[derive(Debug, Clone)]
pub enum Subject {
    /// An object that would be created, or the pod that a workload would create.
    Object(Box<Candidate>),
    /// A recorded `AdmissionReview`, to be answered as it was asked.
    Review(Value),
}

/// A request that would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The kind of what stands in the manifest: `Deployment` for the pod that a Deployment would create.
    pub kind: String,
    /// The namespace of what stands in the manifest.
    pub namespace: String,
    /// The name of what stands in the manifest.
    pub name: String,
    /// What is judged.
    pub judged: Kind,
    /// The request as rules see it.
    pub change: Change,
    /// The object as it stands in the manifest.
    pub value: Value,
    /// Where the object stands in its document: not empty for the template of a workload.
    pub path: FieldPath,
}

impl Candidate {
    /// The same request after its object was edited.
    ///
    /// # Errors
    /// [`DecodeError`] if the edited value is no such object any more.
    pub fn edited(&self, value: Value) -> Result<Self, DecodeError> {
        let mut object = decode_object(&value, self.judged)?;
        let (metadata, own) = (metadata_of(&mut object), self.change.object.metadata());
        metadata.name.clone_from(&own.name);
        metadata.generate_name.clone_from(&own.generate_name);
        metadata.namespace.clone_from(&own.namespace);
        Ok(Self { change: Change { object, ..self.change.clone() }, value, ..self.clone() })
    }
}

/// What a document holds for the rules; nothing for the kinds that no rule is about.
///
/// A template is judged as a pod that it makes. Only a `DaemonSet` is judged itself: its controller plans by
/// the template, and rules know that.
///
/// # Errors
/// [`Problem`] for an object that the API server would refuse.
pub fn subjects(document: &Document, namespace: &str) -> Result<Vec<Subject>, Problem> {
    let candidate = match known(&document.value) {
        Some(Known::Review) => return Ok(vec![Subject::Review(document.value.clone())]),
        Some(Known::Judged(kind)) => Some(whole(document, kind, namespace)?),
        Some(Known::Workload(template)) => templated(document, template, namespace)?,
        Some(Known::Topology | Known::UnknownOfOurs | Known::Node | Known::Pool) | None => None,
    };
    Ok(candidate.map(|candidate| Subject::Object(Box::new(candidate))).into_iter().collect())
}

/// The object of a document that is itself judged.
pub(super) fn whole(document: &Document, kind: Kind, namespace: &str) -> Result<Candidate, Problem> {
    let refused = |error| refused(document, error);
    let mut object = decode_object(&document.value, kind).map_err(refused)?;
    let metadata = metadata_of(&mut object);
    place_in(metadata, namespace);
    let (namespace, name) = (metadata.namespace.clone(), name_of(document, metadata)?);
    Ok(Candidate {
        kind: kind_of(document),
        change: creation(&namespace, object),
        namespace,
        name,
        judged: kind,
        value: document.value.clone(),
        path: FieldPath::default(),
    })
}

/// The pod that a workload makes; `None` where it has no template.
pub(super) fn templated(
    document: &Document,
    template: Template,
    namespace: &str,
) -> Result<Option<Candidate>, Problem> {
    let mut workload = head(document)?;
    place_in(&mut workload, namespace);
    let name = name_of(document, &workload)?;
    let path = template.path();
    let Some(value) = path.tokens().try_fold(&document.value, |value, token| value.get(token.as_ref()))
    else {
        return Ok(None);
    };
    let mut object =
        decode_object(value, Kind::Pod).map_err(|error| refused(document, error.under(path.tokens())))?;
    let metadata = metadata_of(&mut object);
    metadata.namespace.clone_from(&workload.namespace);
    // The API server makes the name up after admission.
    metadata.name.clear();
    metadata.generate_name = format!("{name}-");
    Ok(Some(Candidate {
        kind: kind_of(document),
        change: creation(&workload.namespace, object),
        namespace: workload.namespace,
        name,
        judged: Kind::Pod,
        value: value.clone(),
        path,
    }))
}

/// The request that creates an object.
fn creation(namespace: &str, object: Object) -> Change {
    let name = object.metadata().name.clone();
    Change::create(namespace, name, object)
}

/// The metadata of any object.
pub(super) fn head(document: &Document) -> Result<Metadata, Problem> {
    let object: Node = decode(&document.value).map_err(|error| refused(document, error))?;
    Ok(object.metadata)
}

/// The name, or the prefix of the name that the API server would make up.
pub(super) fn name_of(document: &Document, metadata: &Metadata) -> Result<String, Problem> {
    let name = if metadata.name.is_empty() { &metadata.generate_name } else { &metadata.name };
    if name.is_empty() {
        let at = document.place(&FieldPath::fields(["metadata"]));
        return Err(Problem::at(&document.source, at.mark, ManifestError::NoName));
    }
    Ok(name.clone())
}

/// An object that does not fit, at the place where it does not.
pub(super) fn refused(document: &Document, error: DecodeError) -> Problem {
    let at = document.positions.find(&error.tokens);
    Problem::at(&document.source, at.mark, ManifestError::Field(error))
}

/// The namespace that kubectl would create the object in.
pub(super) fn place_in(metadata: &mut Metadata, namespace: &str) {
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

fn kind_of(document: &Document) -> String {
    document.value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn metadata_of(object: &mut Object) -> &mut Metadata {
    match object {
        Object::Pod(pod) => &mut pod.metadata,
        Object::DaemonSet(daemon_set) => &mut daemon_set.metadata,
        Object::Service(service) => &mut service.metadata,
        Object::L2Advertisement(advertisement) => &mut advertisement.metadata,
    }
}
