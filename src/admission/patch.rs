//! Edits as an RFC 6902 patch that is proven before it is sent: a patch that does not apply would fail the
//! user's request with an internal error, whatever the failure policy says.

use std::borrow::Cow;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Map, Value, json};

use crate::objects::{Object, Pod};
use crate::verdict::Edit;

/// A patch that does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A parent of an edited field is not an object.
    #[error("`{0}` cannot be set: a parent of it is not an object")]
    Parent(String),
    /// The patch does not apply.
    #[error("the patch does not apply: {0}")]
    Apply(#[from] json_patch::PatchError),
    /// The patch applies and makes something else.
    #[error("the patch makes something else than the edits ask for")]
    Differs,
}

/// The object with the edits made, by way of the patch that the API server would get.
///
/// # Errors
/// [`PatchError`] if the object has no place for an edit.
pub fn edited(object: &Value, edits: &[Edit]) -> Result<Value, PatchError> {
    Ok(proven(object.clone(), edits)?.made)
}

/// The patch for an object that was received.
///
/// Only the part of the object that edits can touch is looked at: whether an `add` applies depends on
/// nothing but the parents of its path, and these were decoded one to one.
pub(super) fn patch(object: &Object, edits: &[Edit]) -> Result<Patch, PatchError> {
    Ok(proven(skeleton(object), edits)?.patch)
}

/// A patch, and the document that it was seen to make.
struct Proven {
    patch: Patch,
    made: Value,
}

/// The patch, after it was applied to `document` and made what the edits ask for.
fn proven(mut document: Value, edits: &[Edit]) -> Result<Proven, PatchError> {
    let mut wanted = document.clone();
    let mut places: Vec<PointerBuf> = Vec::new();
    for edit in edits {
        let tokens: Vec<Cow<'_, str>> = edit.field.tokens().collect();
        let place = existing_parent(&document, &tokens);
        set(&mut wanted, &tokens, &edit.value).ok_or_else(|| PatchError::Parent(edit.field.to_string()))?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let patch = Patch(places.into_iter().filter_map(|path| add(&wanted, path)).collect());
    json_patch::patch(&mut document, &patch)?;
    if document == wanted { Ok(Proven { patch, made: document }) } else { Err(PatchError::Differs) }
}

/// The shortest path towards `tokens` that `document` does not hold: `add` needs all but its last token there.
fn existing_parent(document: &Value, tokens: &[Cow<'_, str>]) -> PointerBuf {
    let mut place = PointerBuf::new();
    let mut at = Some(document);
    for token in tokens {
        place.push_back(token.as_ref());
        at = at.and_then(|value| value.get(token.as_ref())).filter(|value| !value.is_null());
        if at.is_none() {
            break;
        }
    }
    place
}

/// Sets a value, making parents that are missing or null.
fn set(document: &mut Value, tokens: &[Cow<'_, str>], value: &Value) -> Option<()> {
    let mut at = document;
    for token in tokens {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut()?.entry(token.as_ref()).or_insert(Value::Null);
    }
    *at = value.clone();
    Some(())
}

fn add(wanted: &Value, path: PointerBuf) -> Option<PatchOperation> {
    let value = path.resolve(wanted).ok()?.clone();
    Some(PatchOperation::Add(AddOperation { path, value }))
}

/// The parents of what edits can set, as far as they were received.
fn skeleton(object: &Object) -> Value {
    match object {
        Object::Pod(pod) => pod_skeleton(pod),
        Object::DaemonSet(daemon_set) => match &daemon_set.spec {
            Some(spec) => json!({"spec": {"template": pod_skeleton(&spec.template)}}),
            None => json!({}),
        },
        Object::Service(service) => match &service.spec {
            Some(_) => json!({"spec": {}}),
            None => json!({}),
        },
        Object::L2Advertisement(_) => json!({}),
    }
}

fn pod_skeleton(pod: &Pod) -> Value {
    match pod.spec.as_ref().map(|spec| &spec.node_selector) {
        Some(Some(selector)) => json!({"spec": {"nodeSelector": selector}}),
        Some(None) => json!({"spec": {}}),
        None => json!({}),
    }
}
