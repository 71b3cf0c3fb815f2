//! The parts of the CRD's schema that types do not express: lengths, syntax and CEL rules.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::check::{MAX_CLASS, MAX_ENTRIES, MAX_OBJECT_NAME, MAX_POOL, MAX_REASON};
use super::exception::Exception;
use super::status::{FindingStatus, MAX_FINDINGS, MAX_SERVICES, ServiceStatus};
use crate::objects::Kind;
use crate::verdict::Rule;

const LABEL_VALUE: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";

const CONDITION_TYPE: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
const CONDITION_REASON: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

pub(super) fn labels(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = node_selector(generator);
    schema.insert("minProperties".to_owned(), 1.into());
    schema
}

/// Labels, or none.
pub(super) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "maxProperties": MAX_ENTRIES,
        "x-kubernetes-validations": [{
            "rule": format!("self.all(key, key.indexOf('/') <= 253 && key.matches('{LABEL_KEY}'))"),
            "message": "every key must be a label key: `name` or `dns.prefix/name`, at most 63 characters after the slash",
        }],
    })
}

pub(super) fn namespace(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"})
}

pub(super) fn address_pools(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_POOL},
        "minItems": 1,
        "maxItems": MAX_ENTRIES,
        "x-kubernetes-list-type": "set",
    })
}

pub(super) fn classes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "maxLength": MAX_CLASS},
        "minItems": 1,
        "maxItems": MAX_ENTRIES,
        "x-kubernetes-list-type": "set",
    })
}

pub(super) fn service_types(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "enum": ["LoadBalancer", "NodePort", "ClusterIP"]},
        "minItems": 1,
        "maxItems": 3,
        "x-kubernetes-list-type": "set",
    })
}

pub(super) fn enforcement_by_rule(_: &mut SchemaGenerator) -> Schema {
    let ids = Rule::ALL.map(|rule| format!("'{}'", rule.id())).join(", ");
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "enum": ["Enforce", "Warn", "Audit"]},
        "maxProperties": MAX_ENTRIES,
        "x-kubernetes-validations": [{
            "rule": format!("self.all(id, id in [{ids}])"),
            "message": format!("every key must be the id of a rule: {}", Rule::ALL.map(Rule::id).join(", ")),
        }],
    })
}

pub(super) fn exceptions(generator: &mut SchemaGenerator) -> Schema {
    list::<Exception>(generator, MAX_ENTRIES)
}

pub(super) fn rule_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": Rule::ALL.map(Rule::id)})
}

pub(super) fn judged_kind(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": Kind::ALL.map(Kind::name)})
}

pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_OBJECT_NAME})
}

pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_REASON})
}

pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// The schema of a list of `metav1.Condition` with one entry per type (apimachinery `meta/v1/types.go`).
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "type": {"description": "The type of the condition, in CamelCase.", "type": "string", "maxLength": 316, "pattern": CONDITION_TYPE},
                "status": {"description": "The status of the condition.", "type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"description": "The metadata.generation that the condition was set for.", "type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"description": "The time of the last change of the status.", "type": "string", "format": "date-time"},
                "reason": {"description": "The reason in one word, for programs.", "type": "string", "minLength": 1, "maxLength": 1024, "pattern": CONDITION_REASON},
                "message": {"description": "The reason in sentences, and what to do.", "type": "string", "maxLength": 32768},
            },
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// A bounded list. An atomic one: whoever writes the status writes all of it.
fn list<T: schemars::JsonSchema>(generator: &mut SchemaGenerator, most: usize) -> Schema {
    json_schema!({
        "type": "array",
        "items": T::json_schema(generator),
        "maxItems": most,
        "x-kubernetes-list-type": "atomic",
    })
}

pub(super) fn services(generator: &mut SchemaGenerator) -> Schema {
    list::<ServiceStatus>(generator, MAX_SERVICES)
}

pub(super) fn findings(generator: &mut SchemaGenerator) -> Schema {
    list::<FindingStatus>(generator, MAX_FINDINGS)
}
