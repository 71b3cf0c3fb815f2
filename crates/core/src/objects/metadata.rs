//! The metadata of objects.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::labels::Labels;
use crate::labels::nulls::{self, or_default};

/// The metadata that rules read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name; empty during admission if `generateName` is used.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The prefix of the name that the API server generates after admission.
    #[serde(deserialize_with = "or_default")]
    pub generate_name: String,
    /// The namespace; empty for cluster-scoped kinds.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The object's labels.
    #[serde(deserialize_with = "nulls::strings")]
    pub labels: Labels,
    /// Whether the annotation `kubernetes.io/config.mirror` is present, so the pod is the mirror of a static pod.
    #[serde(rename = "annotations", deserialize_with = "has_mirror")]
    pub is_mirror: bool,
    /// Whether `deletionTimestamp` is set: the object is being deleted and waits for its finalizers.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_set")]
    pub is_terminating: bool,
    /// The generation: the number of changes of the spec.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
}

/// The annotation keys that rules read.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum Annotation {
    /// The mirror pods' key (kubelet `types.ConfigMirrorAnnotationKey`).
    #[serde(rename = "kubernetes.io/config.mirror")]
    Mirror,
    #[serde(other)]
    Other,
}

/// Decodes whether the value is not `null`.
fn is_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}

/// Decodes whether the annotations contain the mirror pods' key. Skips all values, which may be large.
fn has_mirror<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Annotations;
    impl<'de> Visitor<'de> for Annotations {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of annotations")
        }

        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_none<E>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
            deserializer.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let mut found = false;
            while let Some(key) = map.next_key::<Annotation>()? {
                map.next_value::<IgnoredAny>()?;
                found |= matches!(key, Annotation::Mirror);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_option(Annotations)
}
