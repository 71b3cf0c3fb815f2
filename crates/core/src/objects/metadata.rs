//! What every object has, as far as rules read it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::labels::Labels;
use crate::labels::tolerant::{self, or_default};

/// The metadata that the rules read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Empty at admission where `generateName` is used.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The prefix of a name that the API server makes up after admission.
    #[serde(deserialize_with = "or_default")]
    pub generate_name: String,
    /// Empty for cluster-scoped kinds.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The object's labels.
    #[serde(deserialize_with = "tolerant::strings")]
    pub labels: Labels,
    /// Whether the annotation `kubernetes.io/config.mirror` is there: the API server's image of a static pod.
    #[serde(rename = "annotations", deserialize_with = "has_mirror")]
    pub is_mirror: bool,
    /// Whether `deletionTimestamp` is set: the object waits for its finalizers.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_set")]
    pub is_terminating: bool,
    /// Counts the changes of the spec.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
}

/// The annotations, as far as they are told apart.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum Annotation {
    /// The static pods' (kubelet `types.ConfigMirrorAnnotationKey`).
    #[serde(rename = "kubernetes.io/config.mirror")]
    Mirror,
    #[serde(other)]
    Other,
}

/// Whether there is anything but `null`.
fn is_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}

/// Whether the annotations hold the mirror pods' key. The rest, which may be large, is skipped.
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
