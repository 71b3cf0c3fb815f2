//! The objects of the cluster in which the search takes its steps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::state::stored_objects;

/// The namespace of the gateway.
pub const GATEWAY_NAMESPACE: &str = "istio-system";
/// The namespace of MetalLB.
pub const METALLB_NAMESPACE: &str = "metallb-system";

/// The kind and the name of an object. Within a kind, names differ although namespaces do.
pub type Key = (String, String);

/// The objects, by kind and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects(pub BTreeMap<Key, Value>);

impl Objects {
    /// The objects in which every search starts: those of the doors. The client's address is preserved.
    #[must_use]
    pub fn base() -> Self {
        let objects = stored_objects(&crate::root().join("tests/doors/base.yaml"));
        Self(objects.into_iter().map(|object| (key(&object), placed(object))).collect())
    }

    /// The object of this kind and name.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.get(&(kind.to_owned(), name.to_owned()))
    }

    /// The objects of a kind, in the order of their names.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |((of, _), _)| of == kind).map(|(_, object)| object)
    }
}

/// The key of an object.
#[must_use]
pub fn key(object: &Value) -> Key {
    (text(object, "/kind").to_owned(), text(object, "/metadata/name").to_owned())
}

/// The text at a pointer; empty if there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of the map of texts at a pointer.
#[must_use]
pub fn map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let entries = object.pointer(pointer).and_then(Value::as_object);
    let entries = entries.into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The entries of the list at a pointer.
#[must_use]
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object with the namespace of its kind.
#[must_use]
pub fn placed(mut object: Value) -> Value {
    if text(&object, "/metadata/namespace").is_empty() && text(&object, "/kind") != "Node" {
        let is_metallb = text(&object, "/apiVersion").starts_with("metallb.io/");
        let namespace = if is_metallb { METALLB_NAMESPACE } else { GATEWAY_NAMESPACE };
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}
