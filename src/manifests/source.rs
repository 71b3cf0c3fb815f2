//! The text of a manifest, and where each of its values is in it.

use std::collections::BTreeMap;

/// A range of a source, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Whether the range is empty. Block collections have no text of their own, only that of their items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A line and column as editors count them: from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text and its name in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// A source without its byte order marks, which are not part of the text and are not counted in columns. kubectl's parser
    /// accepts them at the start of any line (`yaml_parser_scan_to_next_token`, go-yaml), where editors that join files leave them.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            text = rest.to_owned();
        }
        if text.contains("\n\u{feff}") {
            text = text.replace("\n\u{feff}", "\n");
        }
        let after_breaks = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(after_breaks).collect();
        Self { name: name.into(), text, lines }
    }

    /// The name in messages: the path as it was given, or [`STDIN`](super::STDIN).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a range; empty if the range is not in the text.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The line and column of a byte.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        LineColumn { line, column: before.chars().count().saturating_add(1) }
    }

    /// The character at a byte; empty at the end of a line.
    #[must_use]
    pub fn character_at(&self, offset: usize) -> Span {
        let start = self.text.floor_char_boundary(offset);
        let character = self.text.get(start..).and_then(|rest| rest.chars().next());
        let length =
            character.filter(|character| !matches!(character, '\n' | '\r')).map_or(0, char::len_utf8);
        Span { start, end: start.saturating_add(length) }
    }

    /// The line of a byte, without its line break.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> Span {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let next = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = self.slice(Span { start, end: next });
        Span { start, end: start.saturating_add(text.trim_end_matches(['\n', '\r']).len()) }
    }
}

/// The places of a value and of everything below it, in the shape of the value.
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

/// The place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The text of the value; of a collection, only where it begins.
    pub value: Span,
    /// The text of its key, if it is an entry of a map.
    pub key: Option<Span>,
    /// The range to underline: a scalar itself, a collection's key.
    pub mark: Span,
    /// All of the value's text, from the mark to its last item.
    pub whole: Span,
    /// Whether the value itself was found; otherwise this is its nearest parent.
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

    /// The same place, as an entry of a map.
    pub(super) fn with_key(self, key: Span) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same place, where the text of the value itself is elsewhere.
    pub(super) fn moved_to(self, value: Span) -> Self {
        Self { value, ..self }
    }

    /// The text of the value itself.
    #[must_use]
    pub fn value(&self) -> Span {
        self.value
    }

    /// The place at the unescaped reference tokens of a JSON pointer (RFC 6901), or of the nearest parent that exists.
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

    /// The last item of a list.
    pub(super) fn into_item(self) -> Option<Self> {
        let Below::List(mut items) = self.below else { return None };
        items.pop()
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

    /// The end of the last item. An alias ends where the text of its anchor ends, further up.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_1() {
        let source = Source::new("a", "a: é\r\nbé: c\n");
        assert_eq!(source.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(source.line_column(7), LineColumn { line: 2, column: 1 });
        let colon = source.text().rfind(':').unwrap();
        assert_eq!(source.line_column(colon), LineColumn { line: 2, column: 3 });
        assert_eq!(source.slice(source.line_of(colon)), "bé: c");
        assert_eq!(source.slice(source.line_of(2)), "a: é");
        assert_eq!(source.line_column(source.text().len()), LineColumn { line: 3, column: 1 });
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(Source::new("a", "\u{feff}a: 1").text(), "a: 1");
    }
}
