//! A text that manifests are read from, and places in it.

/// A stretch of a source, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Whether it covers nothing. Block collections have no text of their own, only that of their items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A place as editors count it: from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text and the name it goes by in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// A source. A byte order mark is dropped: it is no part of the text, and columns do not count it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            text = rest.to_owned();
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

    /// The text of a stretch; empty where there is no such stretch.
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

    /// The line that a byte stands in, without its line break.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> Span {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let next = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = self.slice(Span { start, end: next });
        Span { start, end: start.saturating_add(text.trim_end_matches(['\n', '\r']).len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
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
    fn drops_the_byte_order_mark() {
        assert_eq!(Source::new("a", "\u{feff}a: 1").text(), "a: 1");
    }
}
