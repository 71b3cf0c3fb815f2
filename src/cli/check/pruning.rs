//! Fields that the API server prunes, by the `CustomResourceDefinition`s of the input.
//!
//! MetalLB added fields over time: `serviceSelectors` in 0.16.0, `interfaces` in 0.13.6. An older API server drops them and
//! stores the rest, which announces more than was asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The fields of the specs of MetalLB's kinds, by kind and version.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<(String, String), BTreeSet<String>>);

impl Schemas {
    /// Adds a definition, if it is one of MetalLB's.
    pub(super) fn add(&mut self, object: &Value) {
        let text = |value: &Value, pointer| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if text(object, "/kind").as_deref() != Some("CustomResourceDefinition")
            || text(object, "/spec/group").as_deref() != Some("metallb.io")
        {
            return;
        }
        let Some(kind) = text(object, "/spec/names/kind") else { return };
        for version in object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
            let fields = version.pointer("/schema/openAPIV3Schema/properties/spec");
            let keeps = fields.and_then(|spec| spec.get("x-kubernetes-preserve-unknown-fields"));
            let fields = fields.and_then(|spec| spec.get("properties")).and_then(Value::as_object);
            if let (Some(name), Some(fields)) = (text(version, "/name"), fields)
                && keeps != Some(&Value::Bool(true))
            {
                let fields = fields.keys().cloned().collect();
                self.0.insert((kind.clone(), format!("metallb.io/{name}")), fields);
            }
        }
    }

    /// The fields of an object's spec that the API server prunes.
    pub(super) fn pruned<'o>(&self, object: &'o Value) -> Vec<&'o str> {
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(known) = self.0.get(&(text("kind"), text("apiVersion"))) else { return Vec::new() };
        let spec = object.get("spec").and_then(Value::as_object);
        spec.into_iter()
            .flat_map(serde_json::Map::keys)
            .filter(|key| !known.contains(*key))
            .map(String::as_str)
            .collect()
    }
}
