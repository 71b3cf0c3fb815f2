//! The metadata of objects.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use smol_str::SmolStr;

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
    /// The annotations that rules read.
    #[serde(deserialize_with = "annotations")]
    pub annotations: Annotations,
    /// Whether `deletionTimestamp` is set: the object is being deleted and waits for its finalizers.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_set")]
    pub is_terminating: bool,
    /// The generation: the number of changes of the spec.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
    /// `creationTimestamp`; `None` if it is not set, or is no time.
    #[serde(rename = "creationTimestamp", deserialize_with = "time")]
    pub created: Option<Timestamp>,
}

/// The annotations that rules read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Whether `kubernetes.io/config.mirror` is present (kubelet `types.ConfigMirrorAnnotationKey`), so the pod is the mirror
    /// of a static pod.
    pub is_mirror: bool,
    /// Those with a prefix of MetalLB's own: `metallb.io/` or `metallb.universe.tf/`.
    pub metallb: Labels,
}

/// Whether an annotation is MetalLB's.
pub(super) fn is_metallbs(key: &str) -> bool {
    key.starts_with("metallb.io/") || key.starts_with("metallb.universe.tf/")
}

/// An annotation's key, as far as it is read.
enum Key {
    Mirror,
    MetalLb(SmolStr),
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl Visitor<'_> for Keys {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "kubernetes.io/config.mirror" => Key::Mirror,
                    key if is_metallbs(key) => Key::MetalLb(key.into()),
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(Keys)
    }
}

/// Decodes whether the value is not `null`.
fn is_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}

/// Decodes a time. One that is not valid counts as missing: no verdict on the object itself depends on it.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Decodes the annotations that are read. Skips all other values, which may be large.
fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Annotations, D::Error> {
    struct Map;
    impl<'de> Visitor<'de> for Map {
        type Value = Annotations;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of annotations")
        }

        fn visit_unit<E>(self) -> Result<Annotations, E> {
            Ok(Annotations::default())
        }

        fn visit_none<E>(self) -> Result<Annotations, E> {
            Ok(Annotations::default())
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Annotations, D::Error> {
            deserializer.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
            let mut found = Annotations::default();
            while let Some(key) = map.next_key::<Key>()? {
                match key {
                    Key::MetalLb(key) => {
                        let value = map.next_value::<Option<SmolStr>>()?.unwrap_or_default();
                        found.metallb.insert(key, value);
                    }
                    Key::Mirror => {
                        map.next_value::<IgnoredAny>()?;
                        found.is_mirror = true;
                    }
                    Key::Other => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(found)
        }
    }
    deserializer.deserialize_option(Map)
}
