//! Pruning: the fields of a stored topology that only a later release knows.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::GatewayTopology;
use crate::field::FieldPath;

/// The schema of the spec in the definition of this release.
static SPEC: LazyLock<Option<JSONSchemaProps>> = LazyLock::new(|| {
    let version = GatewayTopology::crd().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema?.properties?.remove("spec")
});

/// Removes the fields of a stored spec that the definition of this release does not have, and returns their paths from the root of the
/// object.
///
/// The API server removes what its definition does not have, so these are fields of a later definition: it was applied before an upgrade,
/// or it remained after a rollback. The API server fills them in by their defaults, so that every topology gets them. A topology that was
/// left out because of them would be enforced by nobody.
pub fn prune(spec: &mut Value) -> Vec<FieldPath> {
    let mut pruned = Vec::new();
    if let Some(schema) = SPEC.as_ref() {
        prune_by(schema, spec, &FieldPath::fields(["spec"]), &mut pruned);
    }
    pruned
}

fn prune_by(schema: &JSONSchemaProps, value: &mut Value, path: &FieldPath, pruned: &mut Vec<FieldPath>) {
    match value {
        Value::Object(fields) => {
            if let Some(properties) = &schema.properties {
                fields.retain(|name, _| {
                    let is_known = properties.contains_key(name);
                    if !is_known {
                        pruned.push(path.clone().field_named(name));
                    }
                    is_known
                });
                for (name, value) in fields {
                    if let Some(schema) = properties.get(name) {
                        prune_by(schema, value, &path.clone().field_named(name), pruned);
                    }
                }
            } else if let Some(JSONSchemaPropsOrBool::Schema(schema)) = &schema.additional_properties {
                for (key, value) in fields {
                    prune_by(schema, value, &path.clone().key(key), pruned);
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for (index, value) in items.iter_mut().enumerate() {
                    prune_by(schema, value, &path.clone().index(index), pruned);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::GatewayTopologySpec;

    #[test]
    fn fields_of_a_later_release_are_removed_wherever_they_are() {
        let exception = json!({"rule": "gateway-placement", "kind": "Pod", "namespace": "edge", "name": "a", "reason": "b"});
        let known = json!({
            "gateway": {"namespace": "edge", "podLabels": {"app": "edge"}},
            "announcements": {"match": "Covering"},
            "enforcementByRule": {"gateway-placement": "Warn"},
            "exceptions": [exception],
        });
        let mut spec = known.clone();
        spec["later"] = json!({"a": 1});
        spec["announcements"]["later"] = json!("AsBefore");
        spec["exceptions"][0]["later"] = json!([]);
        let pruned: Vec<String> = prune(&mut spec).iter().map(ToString::to_string).collect();
        assert_eq!(pruned, ["spec.later", "spec.announcements.later", "spec.exceptions[0].later"]);
        assert_eq!(spec, known);
    }

    #[test]
    fn a_spec_of_this_release_stays_as_it_is() {
        let mut spec = serde_json::to_value(GatewayTopologySpec::default()).unwrap();
        spec["gateway"]["podLabels"] = json!({"later": "label", "app": "edge"});
        spec["placement"]["nodeSelector"] = json!({"later": "label"});
        let before = spec.clone();
        assert_eq!((prune(&mut spec), spec), (Vec::new(), before));
    }

    #[test]
    fn what_is_no_object_is_left_to_the_decoder() {
        for value in [json!(7), json!(null), json!({"gateway": 7, "exceptions": {"later": 1}})] {
            let mut spec = value.clone();
            prune(&mut spec);
            assert_eq!(spec, value);
        }
    }
}
