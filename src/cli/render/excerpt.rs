//! The part of a source that a message is about, with a line under what matters.

use annotate_snippets::{AnnotationKind, Element, Origin, Snippet};

use super::printable;
use crate::manifests::{LineColumn, Place, Source, Span};

/// A list or map up to this long is shown as a whole, since what is wrong with it may be on any line.
const SHOWN_LINES: usize = 6;

/// Longer lines are not for people, and to show a part of each would take a time that grows with the square
/// of their length: minified JSON is told by its line and column only.
const SHOWN_BYTES: usize = 4096;

/// A value that is there, with all of its lines if they are few; else the line where it would have to stand.
pub(super) fn excerpt_of(source: &Source, place: &Place, label: Option<String>) -> Element<'static> {
    let first = source.line_of(place.mark.start);
    let all = Span { start: first.start, end: source.line_of(place.whole.end).end };
    let is_short = source.slice(all).lines().count() <= SHOWN_LINES;
    let lines = if place.is_exact && is_short { all } else { first };
    shown(source, lines, place.mark, label)
}

/// The line that a place is in.
pub(super) fn excerpt(source: &Source, mark: Span) -> Element<'static> {
    shown(source, source.line_of(mark.start), mark, None)
}

fn shown(source: &Source, lines: Span, mark: Span, label: Option<String>) -> Element<'static> {
    let name = printable(source.name()).into_owned();
    let LineColumn { line, column } = source.line_column(mark.start);
    let text = source.slice(lines);
    if text.len() > SHOWN_BYTES {
        return Origin::path(name).line(line).char_column(column).into();
    }
    // An underline over several lines hides more than it shows.
    let first = source.line_of(mark.start);
    let within = |offset: usize| offset.clamp(first.start, first.end).saturating_sub(lines.start);
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
