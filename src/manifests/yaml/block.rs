//! YAML in block style, as kubectl, Helm and most people write it, read without the general parser.
//!
//! The general parser takes seventy microseconds for an object of twenty lines, which is seconds for the dump of a cluster.
//! Nearly every object uses a small part of YAML: maps and lists by indentation or in brackets on one line, plain and quoted strings
//! of one line, decimal numbers, and literal blocks. This reader knows that part, and gives up at anything else, errors included: then the general
//! parser reads the document. What this reader accepts has the values and places that the general parser gives, which
//! tests compare on every manifest of the repository and on mutations of them.

use std::collections::BTreeMap;

use memchr::{memchr, memmem};
use serde_json::{Map, Value};

use crate::manifests::list::List;
use crate::manifests::{Positions, Span};

/// The depth at which the reader gives up. Real objects nest to about fifteen.
const MAX_DEPTH: usize = 48;

/// The longest key in bytes.
const MAX_KEY: usize = 512;

/// Reads a document. `base` is where the text begins in its source. `None` if the text needs the general parser.
pub(super) fn read(text: &str, base: usize) -> Option<(Value, Positions)> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
    if !text.bytes().all(is_plain) {
        return None;
    }
    let mut reader = Reader { text, base, line: None };
    reader.line = reader.line_from(0);
    if reader
        .line
        .is_some_and(|line| line.column == 0 && text.get(line.at..).unwrap_or_default().starts_with("---"))
    {
        let line = reader.line?;
        reader.at_end(line.at.checked_add(3)?, line)?;
        reader.advance();
    }
    let root = reader.block(0)?;
    reader.line.is_none().then_some(root)
}

/// The items of a list in block style; `None` for anything else.
pub(super) fn list(text: &str, base: usize) -> Option<List> {
    let bytes = text.as_bytes();
    let has = |part: &str| memmem::find(bytes, part.as_bytes()).is_some();
    // An item may refer to an anchor in another one.
    if !has("\nitems:") || has(" &") || has(" *") {
        return None;
    }
    let reader = Reader { text, base, line: None };
    let mut next = reader.line_from(0);
    let (mut fields, mut items) = (String::new(), Vec::new());
    while let Some(line) = next {
        next = line.end.checked_add(1).and_then(|start| reader.line_from(start));
        let content = text.get(line.at.checked_sub(line.column)?..line.end)?;
        if content.trim_end() != "items:" {
            fields.push_str(content);
            fields.push('\n');
            continue;
        }
        // A second list of items is an error.
        items.is_empty().then_some(())?;
        let column = next.filter(|item| reader.begins_item(*item))?.column;
        let mut start = None;
        while let Some(item) =
            next.filter(|item| item.column > column || item.column == column && reader.begins_item(*item))
        {
            if item.column == column {
                let begin = item.at.checked_sub(column)?;
                if let Some(start) = start.replace(begin) {
                    items.push(reader.span(start, begin)?);
                }
            }
            next = item.end.checked_add(1).and_then(|start| reader.line_from(start));
        }
        let end = next.map_or(Some(text.len()), |after| after.at.checked_sub(after.column))?;
        items.push(reader.span(start?, end)?);
    }
    let (fields, _) = read(&fields, 0)?;
    fields.get("items").is_none().then(|| List::new(&fields, items))?
}

struct Reader<'t> {
    text: &'t str,
    base: usize,
    /// The line to read next, without blank lines and comments; `None` at the end.
    line: Option<Line>,
}

/// A line with content.
#[derive(Clone, Copy)]
struct Line {
    /// The first byte to read.
    at: usize,
    /// Its column, from 0.
    column: usize,
    /// The end of the line, without its line break.
    end: usize,
}

impl<'t> Reader<'t> {
    /// The first line with content at or after the beginning of a line.
    fn line_from(&self, mut start: usize) -> Option<Line> {
        loop {
            let rest = self.text.as_bytes().get(start..).filter(|rest| !rest.is_empty())?;
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            let column = rest.iter().take_while(|byte| **byte == b' ').count();
            let end = start.checked_add(length)?;
            if column < length && rest.get(column) != Some(&b'#') {
                return Some(Line { at: start.checked_add(column)?, column, end });
            }
            start = end.checked_add(1)?;
        }
    }

    fn advance(&mut self) {
        self.line = self.line.and_then(|line| self.line_from(line.end.checked_add(1)?));
    }

    fn byte(&self, at: usize, line: Line) -> Option<u8> {
        if at < line.end { self.text.as_bytes().get(at).copied() } else { None }
    }

    /// Where the text after some spaces begins; the end of the line for a comment.
    fn after_spaces(&self, at: usize, line: Line) -> Option<usize> {
        let rest = self.text.get(at..line.end)?;
        let spaces = rest.bytes().take_while(|byte| *byte == b' ').count();
        let start = at.checked_add(spaces)?;
        Some(if spaces > 0 && self.byte(start, line) == Some(b'#') { line.end } else { start })
    }

    /// Gives up unless the line ends at `at`, spaces and comments aside.
    fn at_end(&self, at: usize, line: Line) -> Option<()> {
        (self.after_spaces(at, line)? == line.end).then_some(())
    }

    fn span(&self, start: usize, end: usize) -> Option<Span> {
        Some(Span { start: self.base.checked_add(start)?, end: self.base.checked_add(end)? })
    }

    fn begins_item(&self, line: Line) -> bool {
        self.byte(line.at, line) == Some(b'-')
            && line.at.checked_add(1).is_some_and(|next| matches!(self.byte(next, line), None | Some(b' ')))
    }

    /// The map or list at the current line.
    fn block(&mut self, depth: usize) -> Option<(Value, Positions)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let line = self.line?;
        if self.begins_item(line) { self.list(line, depth) } else { self.map(line, depth) }
    }

    fn map(&mut self, first: Line, depth: usize) -> Option<(Value, Positions)> {
        let (mut values, mut places) = (Map::new(), BTreeMap::new());
        while let Some(line) = self.line.filter(|line| line.column >= first.column) {
            if line.column > first.column || self.begins_item(line) {
                return None;
            }
            let (key, key_span, after) = self.key(line)?;
            let at = self.after_spaces(after, line)?;
            let (value, place) = if at < line.end {
                self.inline(at, line, first.column)?
            } else {
                self.advance();
                match self.line {
                    Some(next) if next.column > first.column => self.block(depth.checked_add(1)?)?,
                    Some(next) if next.column == first.column && self.begins_item(next) => {
                        // The general parser puts a list that is not indented at its first item.
                        let item = self.after_spaces(next.at.checked_add(1)?, next)?;
                        (item < next.end).then_some(())?;
                        let (items, place) = self.list(next, depth.checked_add(1)?)?;
                        (items, place.moved_to(self.span(item, item)?))
                    }
                    // The general parser puts it at the colon.
                    _ => (Value::Null, Positions::scalar(Span { start: key_span.end, ..key_span })),
                }
            };
            // A key that is given twice is an error, which the general parser reports.
            if values.insert(key.to_owned(), value).is_some() {
                return None;
            }
            places.insert(key.to_owned(), place.with_key(key_span));
        }
        Some((Value::Object(values), Positions::map(self.span(first.at, first.at)?, places)))
    }

    fn list(&mut self, first: Line, depth: usize) -> Option<(Value, Positions)> {
        let (mut values, mut places) = (Vec::new(), Vec::new());
        while let Some(line) = self.line.filter(|line| line.column >= first.column) {
            if line.column > first.column {
                return None;
            }
            if !self.begins_item(line) {
                // The next key of the map around a list with the same indentation.
                break;
            }
            let after = line.at.checked_add(1)?;
            let at = self.after_spaces(after, line)?;
            let (value, place) = if at == line.end {
                self.advance();
                match self.line {
                    Some(next) if next.column > first.column => self.block(depth.checked_add(1)?)?,
                    _ => return None,
                }
            } else {
                let column = line.column.checked_add(at.checked_sub(line.at)?)?;
                let inner = Line { at, column, ..line };
                if self.begins_item(inner) || self.key(inner).is_some() {
                    self.line = Some(inner);
                    self.block(depth.checked_add(1)?)?
                } else {
                    self.inline(at, line, first.column)?
                }
            };
            values.push(value);
            places.push(place);
        }
        Some((Value::Array(values), Positions::list(self.span(first.at, first.at)?, places)))
    }

    /// A key of a map: its text, its place, and what follows its colon.
    fn key(&self, line: Line) -> Option<(&'t str, Span, usize)> {
        let text = self.text.get(line.at..line.end)?;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-".contains(byte);
        let (name, length) = match text.as_bytes().first()? {
            quote @ (b'"' | b'\'') => {
                let name = text.get(1..)?;
                let length = memchr(*quote, name.as_bytes())?;
                let name = name.get(..length).filter(|name| !name.contains('\\'))?;
                (name, length.checked_add(2)?)
            }
            first if first.is_ascii_alphabetic() => {
                let length = text.bytes().take_while(is_name).count();
                let name = text.get(..length).filter(|name| !is_special(name))?;
                (name, length)
            }
            _ => return None,
        };
        let colon = line.at.checked_add(length)?;
        let after = colon.checked_add(1)?;
        let is_key = length <= MAX_KEY
            && self.byte(colon, line) == Some(b':')
            && matches!(self.byte(after, line), None | Some(b' '));
        is_key.then_some((name, self.span(line.at, colon)?, after))
    }

    /// A value on the line of its key or dash; `column` is that of the map or list around it.
    fn inline(&mut self, at: usize, line: Line, column: usize) -> Option<(Value, Positions)> {
        let text = self.text.get(at..line.end)?;
        if text.starts_with('|') {
            return self.literal(at, line, column);
        }
        let (root, end) = match text.as_bytes().first()? {
            b'"' | b'\'' => self.quoted(at, line)?,
            b'{' | b'[' => self.flow(at, line, 0)?,
            _ => {
                let comment = memmem::find(text.as_bytes(), b" #").unwrap_or(text.len());
                let plain = text.get(..comment)?.trim_end_matches(' ');
                let end = at.checked_add(plain.len())?;
                ((plain_value(plain)?, Positions::scalar(self.span(at, end)?)), end)
            }
        };
        self.at_end(end, line)?;
        self.advance();
        self.ends_before(column)?;
        Some(root)
    }

    /// A string in quotes without escapes, and where its text ends.
    fn quoted(&self, at: usize, line: Line) -> Option<((Value, Positions), usize)> {
        let text = self.text.get(at..line.end)?;
        let quote = *text.as_bytes().first()?;
        let inner = text.get(1..)?;
        let length = memchr(quote, inner.as_bytes())?;
        let inner = inner.get(..length).filter(|inner| quote == b'\'' || !inner.contains('\\'))?;
        let end = at.checked_add(length)?.checked_add(2)?;
        // Two single quotes stand for one.
        let is_whole = self.byte(end, line) != Some(quote);
        is_whole.then_some(((Value::String(inner.to_owned()), Positions::scalar(self.span(at, end)?)), end))
    }

    /// A map or list in brackets on one line, and where its text ends.
    fn flow(&self, at: usize, line: Line, depth: usize) -> Option<((Value, Positions), usize)> {
        let below = depth.checked_add(1).filter(|depth| *depth < MAX_DEPTH)?;
        let (mut values, mut places) = (Map::new(), BTreeMap::new());
        let (mut items, mut item_places) = (Vec::new(), Vec::new());
        let is_map = self.byte(at, line)? == b'{';
        let close = if is_map { b'}' } else { b']' };
        let mut next = self.after_spaces(at.checked_add(1)?, line)?;
        while self.byte(next, line)? != close {
            let key = is_map.then(|| self.key(Line { at: next, ..line }));
            if let Some(key) = &key {
                next = self.after_spaces(key.as_ref()?.2, line)?;
            }
            let ((value, place), end) = match self.byte(next, line)? {
                b'"' | b'\'' => self.quoted(next, line)?,
                b'{' | b'[' => self.flow(next, line, below)?,
                _ => {
                    let text = self.text.get(next..line.end)?;
                    let plain = text.get(..text.find(['{', '}', '[', ']', ',', '#'])?)?.trim_end_matches(' ');
                    let end = next.checked_add(plain.len())?;
                    ((plain_value(plain)?, Positions::scalar(self.span(next, end)?)), end)
                }
            };
            match key {
                Some(Some((key, span, _))) => {
                    if values.insert(key.to_owned(), value).is_some() {
                        return None;
                    }
                    places.insert(key.to_owned(), place.with_key(span));
                }
                _ => {
                    items.push(value);
                    item_places.push(place);
                }
            }
            next = self.after_spaces(end, line)?;
            match self.byte(next, line)? {
                b',' => next = self.after_spaces(next.checked_add(1)?, line)?,
                byte if byte == close => {}
                _ => return None,
            }
        }
        let end = next.checked_add(1)?;
        let opening = self.span(at, at.checked_add(1)?)?;
        let root = if is_map {
            (Value::Object(values), Positions::map(opening, places))
        } else {
            (Value::Array(items), Positions::list(opening, item_places))
        };
        Some((root, end))
    }

    /// Gives up if the next line continues a value of one line.
    fn ends_before(&self, column: usize) -> Option<()> {
        self.line.is_none_or(|next| next.column <= column).then_some(())
    }

    /// A literal block, which keeps its line breaks.
    fn literal(&mut self, at: usize, line: Line, column: usize) -> Option<(Value, Positions)> {
        let keeps_last = match self.text.get(at..line.end)?.trim_end_matches(' ') {
            "|" => true,
            "|-" => false,
            _ => return None,
        };
        let bytes = self.text.as_bytes();
        let mut start = line.end.checked_add(1)?;
        let mut value = String::new();
        let mut indent = None;
        // The value without its last blank lines, and where its text begins and ends.
        let (mut content, mut begin, mut end) = (0, start, start);
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            // The end of the text without a line break is left to the general parser.
            let length = memchr(b'\n', rest)?;
            let spaces = rest.iter().take(length).take_while(|byte| **byte == b' ').count();
            let is_blank = spaces == length;
            let indent = match indent {
                Some(indent) => indent,
                None if is_blank || spaces <= column => return None,
                None => {
                    begin = start.checked_add(spaces)?;
                    *indent.insert(spaces)
                }
            };
            if !is_blank && spaces < indent {
                // The general parser skips the indentation of the next line before it sees that the text ends.
                end = start.checked_add(spaces)?;
                break;
            }
            let line_end = start.checked_add(length)?;
            value.push_str(self.text.get(start.checked_add(indent)?..line_end).unwrap_or_default());
            value.push('\n');
            start = line_end.checked_add(1)?;
            end = start;
            if !is_blank || length > indent {
                content = value.len();
            }
        }
        indent?;
        value.truncate(content);
        if !keeps_last {
            value.truncate(content.checked_sub(1)?);
        }
        self.line = self.line_from(start);
        self.ends_before(column)?;
        Some((Value::String(value), Positions::scalar(self.span(begin, end)?)))
    }
}

/// A string or number without quotes; `None` for what may be something else.
fn plain_value(text: &str) -> Option<Value> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    let is_start = first.is_ascii_alphanumeric() || first == b'/' || text.starts_with("--");
    if !is_start || text.ends_with(':') || memmem::find(bytes, b": ").is_some() {
        return None;
    }
    if !first.is_ascii_digit() {
        return match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => (!is_special(text)).then(|| Value::String(text.to_owned())),
        };
    }
    if bytes.iter().all(u8::is_ascii_digit) {
        let is_decimal = bytes.len() == 1 || first != b'0' && bytes.len() < 19;
        return is_decimal.then(|| text.parse::<u64>().ok().map(Value::from)).flatten();
    }
    // `100m`, `512Mi`, `50%`, `10.0.0.1`, `10.0.0.0/8`: no notation of numbers has such characters, or two dots.
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() && !b"abcdefoxABCDEFOX".contains(byte);
    let dots = bytes.iter().filter(|byte| **byte == b'.').count();
    let is_string = bytes.iter().any(|byte| is_letter(byte) || b"/%".contains(byte))
        || dots > 1 && bytes.iter().all(|byte| byte.is_ascii_digit() || b".-".contains(byte));
    is_string.then(|| Value::String(text.to_owned()))
}

/// Whether the word is no string in some version of YAML.
fn is_special(word: &str) -> bool {
    const SPECIAL: [&str; 13] =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "infinity", "nan", "none"];
    word.len() <= 8 && SPECIAL.iter().any(|special| word.eq_ignore_ascii_case(special))
}
