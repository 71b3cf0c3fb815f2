//! Lists of objects, as `kubectl get -o yaml` writes them.

use serde_json::Value;

use super::{Positions, Span};

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

/// A list whose items are read one by one.
#[derive(Debug)]
pub(super) struct List {
    /// The texts of the items.
    pub(super) items: Vec<Span>,
    item_kind: Option<ItemKind>,
}

impl List {
    /// The list with these fields, apart from its items; `None` for any other object.
    pub(super) fn new(fields: &Value, items: Vec<Span>) -> Option<Self> {
        let is_list = fields.get("kind").and_then(Value::as_str)?.ends_with("List");
        is_list.then(|| Self { items, item_kind: ItemKind::of(fields) })
    }

    /// An item with the kind that the list gives it.
    pub(super) fn typed(&self, (mut item, positions): (Value, Positions)) -> (Value, Positions) {
        if let Some(kind) = &self.item_kind {
            kind.add_to(&mut item);
        }
        (item, positions)
    }
}

/// The item of a list that has one item.
pub(super) fn only_item((value, positions): (Value, Positions)) -> Option<(Value, Positions)> {
    match value {
        Value::Array(mut items) if items.len() == 1 => Some((items.pop()?, positions.into_item()?)),
        _ => None,
    }
}

/// The kind of a typed list's items. The API server writes it once, on the list.
#[derive(Debug)]
struct ItemKind {
    api_version: Value,
    kind: String,
}

impl ItemKind {
    /// The kind of the items of a list with these fields; `None` if each item has its own.
    fn of(list: &Value) -> Option<Self> {
        let kind = list.get("kind").and_then(Value::as_str)?.strip_suffix("List")?;
        let api_version = list.get("apiVersion").cloned().unwrap_or_default();
        (!kind.is_empty()).then(|| Self { api_version, kind: kind.to_owned() })
    }

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
    if !value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) {
        return Err(value);
    }
    let item_kind = ItemKind::of(&value);
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
