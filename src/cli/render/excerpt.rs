//! Excerpts of a source in messages, with the value underlined.

use annotate_snippets::{AnnotationKind, Element, Origin, Snippet};
use lockstep_core::escape::is_unsafe;

use super::printable;
use crate::manifests::{LineColumn, Place, Source, Span};

/// The maximum number of lines of a collection that is shown whole: the error may be on any of them.
const MAX_LINES: usize = 6;

/// The maximum size of an excerpt, in bytes. The renderer's time grows with the square of a line's length, and
/// minified JSON is unreadable. Above this size, only line and column are shown.
const MAX_BYTES: usize = 4096;

/// Returns the excerpt of a field: all lines of its value if they are few, or the line of its nearest parent if it is
/// not set.
pub(super) fn field_excerpt(source: &Source, place: &Place, label: Option<String>) -> Element<'static> {
    let first = source.line_of(place.mark.start);
    let all = Span { start: first.start, end: source.line_of(place.whole.end).end };
    let is_short = source.slice(all).lines().count() <= MAX_LINES;
    let lines = if place.is_exact && is_short { all } else { first };
    shown(source, lines, place.mark, label)
}

/// Returns the excerpt of a range: its first line.
pub(super) fn excerpt(source: &Source, mark: Span) -> Element<'static> {
    shown(source, source.line_of(mark.start), mark, None)
}

fn shown(source: &Source, lines: Span, mark: Span, label: Option<String>) -> Element<'static> {
    let name = printable(source.name()).into_owned();
    let LineColumn { line, column } = source.line_column(mark.start);
    let text = source.slice(lines);
    if text.len() > MAX_BYTES {
        return Origin::path(name).line(line).char_column(column).into();
    }
    // An underline over several lines hides more than it shows.
    let first = source.line_of(mark.start);
    // The renderer panics if a range ends within a character.
    let within = |offset: usize| {
        text.floor_char_boundary(offset.clamp(first.start, first.end).saturating_sub(lines.start))
    };
    let (text, [start, end]) = visible(text, [within(mark.start), within(mark.end)]);
    let annotation =
        AnnotationKind::Primary.span(start..end).label(label.map(|label| printable(&label).into_owned()));
    let first_line = source.line_column(lines.start).line;
    Snippet::source(text).line_start(first_line).path(name).fold(false).annotation(annotation).into()
}

/// The lines with their unsafe characters escaped, as in messages, and the offsets of two characters in them. The renderer makes some
/// of these characters visible, but not the invisible ones, which are most likely the fault that is shown.
fn visible(text: &str, offsets: [usize; 2]) -> (String, [usize; 2]) {
    let is_kept = |character| !is_unsafe(character) || matches!(character, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    let mut found = [None; 2];
    for (at, character) in text.char_indices() {
        for (found, offset) in found.iter_mut().zip(offsets) {
            if found.is_none() && at >= offset {
                *found = Some(shown.len());
            }
        }
        if is_kept(character) {
            shown.push(character);
        } else if !text.get(at..).is_some_and(|rest| rest.starts_with("\r\n")) {
            shown.extend(character.escape_default());
        }
    }
    let offsets = found.map(|found| found.unwrap_or(shown.len()));
    (shown, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_escaped_and_the_offsets_follow() {
        let text = "a: \u{200b}b\tc\r\n\u{202e}d\r";
        let (shown, [start, end]) = visible(text, [3, 7]);
        assert_eq!(shown, "a: \\u{200b}b\tc\n\\u{202e}d\\r");
        assert_eq!(shown.get(start..end), Some("\\u{200b}b"));
        assert_eq!(visible("", [0, 0]), (String::new(), [0, 0]));
    }
}
