//! YAML as a value and its positions, out of one walk.
//!
//! serde-saphyr tells the place of every node while it decodes it, so the value and the positions cannot
//! disagree: not for anchors, not for merge keys, and not for keys that are no strings.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::position::Positions;
use super::{ManifestError, Span};

/// A node of YAML, with the places of everything below it.
#[derive(Debug)]
pub(super) enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl Tree {
    /// Counts the nodes of the tree, keys included.
    pub(super) fn nodes(&self) -> usize {
        let below = match self {
            Self::Scalar(_) => 0,
            Self::List(items) => items.iter().map(|item| item.value.nodes()).sum(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| key.value.nodes().saturating_add(value.value.nodes())).sum()
            }
        };
        below.saturating_add(1)
    }
}

/// Text that JSON has no counterpart for.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) at: Span,
    pub(super) error: ManifestError,
}

/// Takes a document apart. `base` is where the text that was parsed begins in its source.
pub(super) fn split(node: Spanned<Tree>, base: usize) -> Result<(Value, Positions), Misfit> {
    let at = span(&node, base);
    match node.value {
        Tree::Scalar(value) => Ok((value, Positions::scalar(at))),
        Tree::List(nodes) => {
            let items: Result<Vec<_>, _> = nodes.into_iter().map(|item| split(item, base)).collect();
            let (values, positions) = items?.into_iter().unzip();
            Ok((Value::Array(values), Positions::list(at, positions)))
        }
        Tree::Map(nodes) => {
            let mut values = Map::new();
            let mut positions = BTreeMap::new();
            for (key, value) in nodes {
                let key_at = span(&key, base);
                let name = key_text(key.value).ok_or(Misfit { at: key_at, error: ManifestError::Key })?;
                let (value, below) = split(value, base)?;
                values.insert(name.clone(), value);
                positions.insert(name, below.with_key(key_at));
            }
            Ok((Value::Object(values), Positions::map(at, positions)))
        }
    }
}

/// Where the text of a node stands: for an alias, the text that it stands for.
fn span(node: &Spanned<Tree>, base: usize) -> Span {
    let span = node.defined.span();
    let offset = |at: Option<u64>| at.and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
    let start = base.saturating_add(offset(span.byte_offset()));
    Span { start, end: start.saturating_add(offset(span.byte_len())) }
}

/// A key as JSON writes it; kubectl turns numbers and booleans into text, and refuses the rest.
fn key_text(key: Tree) -> Option<String> {
    match key {
        Tree::Scalar(Value::String(text)) => Some(text),
        Tree::Scalar(Value::Bool(flag)) => Some(flag.to_string()),
        Tree::Scalar(Value::Number(number)) => Some(number.to_string()),
        Tree::Scalar(_) | Tree::List(_) | Tree::Map(_) => None,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Number::from_f64(number).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}
