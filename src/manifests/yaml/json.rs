//! JSON with the places of its values, read without the general parser, which takes JSON for YAML in flow style.
//!
//! What this reader accepts has the values and places that the general parser gives, which tests compare. It gives up at keys
//! that are escaped or given twice and at numbers that are not short integers, where YAML may see something else.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::manifests::list::List;
use crate::manifests::{Positions, Span};

/// The depth at which the reader gives up. Each level reads the text below it once more.
const MAX_DEPTH: usize = 48;

/// Reads a value. `base` is where the text begins in its source. `None` if the text needs the general parser.
pub(super) fn read(text: &str, base: usize) -> Option<(Value, Positions)> {
    // The parser of YAML rejects some characters that JSON allows.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    if !text.bytes().all(is_plain) {
        return None;
    }
    Text { text, base }.value(text.trim(), 0)
}

/// The items of a list; `None` for anything else, and for what the general parser may reject.
pub(super) fn list(text: &str, base: usize) -> Option<List> {
    let whole = Text { text, base };
    let Entries(entries) = serde_json::from_str(text).ok()?;
    let mut fields = Map::new();
    let mut items = None;
    for (key, raw) in entries {
        let is_twice = if key == "items" {
            items.replace(serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()?).is_some()
        } else {
            fields.insert(key.to_owned(), serde_json::from_str(raw.get()).ok()?).is_some()
        };
        if is_twice {
            return None;
        }
    }
    let spans: Option<Vec<Span>> = items?.into_iter().map(|item| whole.span(item.get())).collect();
    List::new(&Value::Object(fields), spans?)
}

/// A text and where it begins in its source.
#[derive(Clone, Copy)]
struct Text<'t> {
    text: &'t str,
    base: usize,
}

/// The entries of a map in the order of the text.
struct Entries<'t>(Vec<(&'t str, &'t RawValue)>);

impl<'t> Text<'t> {
    /// Reads a part of the text.
    fn value(self, part: &'t str, depth: usize) -> Option<(Value, Positions)> {
        let below = depth.checked_add(1).filter(|depth| *depth < MAX_DEPTH)?;
        let span = self.span(part)?;
        match part.as_bytes().first()? {
            b'{' => {
                let Entries(entries) = serde_json::from_str(part).ok()?;
                let (mut values, mut places) = (Map::new(), BTreeMap::new());
                for (key, raw) in entries {
                    let (value, place) = self.value(raw.get(), below)?;
                    if values.insert(key.to_owned(), value).is_some() {
                        return None;
                    }
                    let Span { start, end } = self.span(key)?;
                    // The quotes belong to the key.
                    let key_span = Span { start: start.checked_sub(1)?, end: end.checked_add(1)? };
                    places.insert(key.to_owned(), place.with_key(key_span));
                }
                Some((Value::Object(values), Positions::map(opening(span), places)))
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(part).ok()?;
                let items: Option<Vec<_>> =
                    items.into_iter().map(|raw| self.value(raw.get(), below)).collect();
                let (values, places) = items?.into_iter().unzip();
                Some((Value::Array(values), Positions::list(opening(span), places)))
            }
            b'-' | b'0'..=b'9' => {
                let is_short = part.len() < 18 && !part.contains(['.', 'e', 'E', '-']);
                let number: u64 = is_short.then(|| part.parse().ok()).flatten()?;
                Some((number.into(), Positions::scalar(span)))
            }
            _ => Some((serde_json::from_str(part).ok()?, Positions::scalar(span))),
        }
    }

    /// The place of a part of the text.
    fn span(self, part: &str) -> Option<Span> {
        let offset = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let start = self.base.checked_add(offset)?;
        Some(Span { start, end: start.checked_add(part.len())? })
    }
}

/// The place of a collection: its opening bracket.
fn opening(span: Span) -> Span {
    Span { end: span.start.saturating_add(1), ..span }
}

impl<'de: 't, 't> Deserialize<'de> for Entries<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Vec<(&'de str, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Map).map(Self)
    }
}
