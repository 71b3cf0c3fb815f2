//! Lists of objects, as `kubectl get -o yaml` writes them.

use serde_json::Value;

use super::Positions;

/// Unfolds a list into its items, lists within lists included; any other object stays as it is.
pub(super) fn unfold(value: Value, positions: Positions) -> Vec<(Value, Positions)> {
    let (items, item_kind) = match take_items(value) {
        Ok(list) => list,
        Err(value) => return vec![(value, positions)],
    };
    let places = positions.into_items("items");
    let objects = items.into_iter().zip(places);
    objects
        .flat_map(|(mut item, place)| {
            if let Some(kind) = &item_kind {
                kind.add_to(&mut item);
            }
            unfold(item, place)
        })
        .collect()
}

/// The kind of a typed list's items. The API server writes it once, on the list.
struct ItemKind {
    api_version: Value,
    kind: String,
}

impl ItemKind {
    fn add_to(&self, item: &mut Value) {
        if let Value::Object(fields) = item
            && !fields.contains_key("kind")
        {
            fields.insert("apiVersion".to_owned(), self.api_version.clone());
            fields.insert("kind".to_owned(), self.kind.clone().into());
        }
    }
}

/// The items of a list, and their kind if the list is typed; any other value is returned unchanged.
fn take_items(mut value: Value) -> Result<(Vec<Value>, Option<ItemKind>), Value> {
    let Some(item_kind) =
        value.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"))
    else {
        return Err(value);
    };
    let item_kind = (!item_kind.is_empty()).then(|| ItemKind {
        api_version: value.get("apiVersion").cloned().unwrap_or_default(),
        kind: item_kind.to_owned(),
    });
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok((items, item_kind)),
        Some(other) => {
            if let Value::Object(fields) = &mut value {
                fields.insert("items".to_owned(), other);
            }
            Err(value)
        }
        None => Err(value),
    }
}
