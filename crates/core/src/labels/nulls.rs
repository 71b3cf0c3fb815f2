//! Decoding of nulls and maps of strings as the API server decodes them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use smol_str::SmolStr;

use super::Labels;

/// Decodes `null` as the default.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Decodes a map of a custom resource. Entries that are `null` are pruned (apiextensions `PruneNonNullableNullsWithoutDefaults`),
/// so `matchLabels: {key: null}` selects everything.
pub(crate) fn pruned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let map = deserializer.deserialize_option(Strings { null: None })?;
    Ok(map.unwrap_or_default())
}

/// Decodes a map of a built-in kind. Go decodes an entry that is `null` as the empty string.
pub(crate) fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    Ok(optional_strings(deserializer)?.unwrap_or_default())
}

/// Decodes a map of a built-in kind; `None` if there is no map. A patch treats a missing map and an empty one
/// differently.
pub(crate) fn optional_strings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Labels>, D::Error> {
    deserializer.deserialize_option(Strings { null: Some("") })
}

/// A visitor that builds a map of strings without an intermediate one, because every review decodes several. `null` is
/// the value for entries that are `null`; with `None`, they are pruned.
struct Strings {
    null: Option<&'static str>,
}

impl<'de> Visitor<'de> for Strings {
    type Value = Option<Labels>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_none<E>(self) -> Result<Option<Labels>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Labels>, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Labels>, A::Error> {
        // The API server sorts keys, and a map is built from sorted entries faster than one by one.
        let mut labels = Vec::new();
        while let Some((key, value)) = map.next_entry::<SmolStr, Option<SmolStr>>()? {
            if let Some(value) = value.or_else(|| self.null.map(SmolStr::new_static)) {
                labels.push((key, value));
            }
        }
        Ok(Some(labels.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Spec {
        #[serde(default, deserialize_with = "optional_strings")]
        map: Option<Labels>,
    }

    #[test]
    fn null_decodes_as_no_map_and_an_empty_map_as_a_map() {
        for (text, expected) in
            [("{}", None), ("{\"map\": null}", None), ("{\"map\": {}}", Some(Labels::new()))]
        {
            let (json, yaml): (Spec, Spec) =
                (serde_json::from_str(text).unwrap(), serde_saphyr::from_str(text).unwrap());
            let value: Spec =
                serde_json::from_str::<serde_json::Value>(text).and_then(serde_json::from_value).unwrap();
            assert_eq!([&json.map, &yaml.map, &value.map], [&expected; 3], "{text}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts_as_in_go() {
        let spec: Spec = serde_json::from_str(r#"{"map": {"b": "1", "a": "2", "b": "3"}}"#).unwrap();
        let expected = [("a", "2"), ("b", "3")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(spec.map, Some(Labels::from(expected)));
    }
}
