//! Where each value of a document stands in its source.

use std::collections::BTreeMap;

use super::Span;

/// The places of a value and of everything below it: the same shape as the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    value: Span,
    key: Option<Span>,
    below: Below,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Below {
    #[default]
    Scalar,
    List(Vec<Positions>),
    Map(BTreeMap<String, Positions>),
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The text of the value; of a collection no more than where it begins.
    pub value: Span,
    /// The text of its key, if it is an entry of a map.
    pub key: Option<Span>,
    /// What to underline for people: the value where it is a plain one, else its key.
    pub mark: Span,
    /// All of the value's text, from the mark to its last item.
    pub whole: Span,
    /// Whether the value itself was found; else this is the nearest of its parents.
    pub is_exact: bool,
}

impl Positions {
    /// The place of a value without items.
    pub(super) fn scalar(value: Span) -> Self {
        Self { value, ..Self::default() }
    }

    /// The place of a list and of its items.
    pub(super) fn list(value: Span, items: Vec<Self>) -> Self {
        Self { value, key: None, below: Below::List(items) }
    }

    /// The place of a map and of its entries.
    pub(super) fn map(value: Span, entries: BTreeMap<String, Self>) -> Self {
        Self { value, key: None, below: Below::Map(entries) }
    }

    /// The same, as an entry of a map.
    pub(super) fn with_key(self, key: Span) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The text of the value itself.
    #[must_use]
    pub fn value(&self) -> Span {
        self.value
    }

    /// The place that the unescaped reference tokens of a JSON pointer (RFC 6901) lead to, or as far as they lead.
    pub fn find(&self, tokens: impl IntoIterator<Item = impl AsRef<str>>) -> Place {
        let mut at = self;
        let mut is_exact = true;
        for token in tokens {
            match at.get(token.as_ref()) {
                Some(below) => at = below,
                None => {
                    is_exact = false;
                    break;
                }
            }
        }
        let mark = at.mark();
        let whole = Span { start: mark.start, end: at.end().max(mark.end) };
        Place { value: at.value, key: at.key, mark, whole, is_exact }
    }

    /// The items of a list, each as the root of a document of its own.
    pub(super) fn into_items(self, field: &str) -> Vec<Self> {
        let Below::Map(mut entries) = self.below else {
            return Vec::new();
        };
        match entries.remove(field).map(|list| list.below) {
            Some(Below::List(items)) => items,
            _ => Vec::new(),
        }
    }

    fn get(&self, token: &str) -> Option<&Self> {
        match &self.below {
            Below::Scalar => None,
            Below::List(items) => items.get(token.parse::<usize>().ok()?),
            Below::Map(entries) => entries.get(token),
        }
    }

    fn mark(&self) -> Span {
        let own = self.value;
        match (&self.below, self.key) {
            (Below::Scalar, Some(key)) if own.is_empty() => key,
            (Below::Scalar, _) => own,
            (_, Some(key)) => key,
            // A whole document is best recognised by its name.
            (Below::Map(_), None) => self.name().or_else(|| self.first_key()).unwrap_or(own),
            (Below::List(items), None) => items.first().map_or(own, Self::mark),
        }
    }

    /// Where the last item ends. An alias ends where it stands for text further up.
    fn end(&self) -> usize {
        let below = match &self.below {
            Below::Scalar => None,
            Below::List(items) => items.iter().map(Self::end).max(),
            Below::Map(entries) => entries.values().map(Self::end).max(),
        };
        self.value.end.max(below.unwrap_or_default())
    }

    fn name(&self) -> Option<Span> {
        let name = self.get("metadata")?.get("name")?.value;
        (!name.is_empty()).then_some(name)
    }

    fn first_key(&self) -> Option<Span> {
        let Below::Map(entries) = &self.below else {
            return None;
        };
        entries.values().filter_map(|entry| entry.key).min_by_key(|key| key.start)
    }
}
