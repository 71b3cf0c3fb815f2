//! Excerpts of a source in messages, with the value underlined.

use annotate_snippets::{AnnotationKind, Element, Origin, Snippet};

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
    let annotation = AnnotationKind::Primary
        .span(within(mark.start)..within(mark.end))
        .label(label.map(|label| printable(&label).into_owned()));
    let first_line = source.line_column(lines.start).line;
    Snippet::source(text.to_owned())
        .line_start(first_line)
        .path(name)
        .fold(false)
        .annotation(annotation)
        .into()
}
