//! Log events as text, one line each, for people at a terminal.
//!
//! The library's own text form writes what an event's fields display as it is, line breaks included, so that
//! a name could pose as a line of the log.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// `TIME LEVEL message field=value …`; a value that is not one plain word stands in quotes, escaped.
#[derive(Debug)]
pub(super) struct TextLine {
    /// Whether the terminal shows colours.
    pub(super) has_colour: bool,
}

impl TextLine {
    fn write_start(&self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        if !self.has_colour {
            SystemTime.format_time(writer)?;
            return write!(writer, " {level:>5}");
        }
        writer.write_str(DIM)?;
        SystemTime.format_time(writer)?;
        write!(writer, "{PLAIN} {}{level:>5}{PLAIN}", colour(level))
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        self.write_start(&mut writer, *event.metadata().level())?;
        let mut fields = Fields { writer: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_char('\n')
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: &str) -> fmt::Result {
        if field.name() == "message" {
            self.writer.write_char(' ')?;
            return write_sentence(&mut self.writer, value);
        }
        write!(self.writer, " {}=", field.name())?;
        if is_word(value) { self.writer.write_str(value) } else { write!(self.writer, "{value:?}") }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.outcome.is_ok() {
            self.outcome = self.write(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Messages are Lockstep's own and the libraries', which may repeat what they were given.
fn write_sentence(writer: &mut Writer<'_>, sentence: &str) -> fmt::Result {
    sentence.chars().try_for_each(|character| {
        if character == ' ' || is_plain(character) {
            writer.write_char(character)
        } else {
            write!(writer, "{}", character.escape_debug())
        }
    })
}

/// Whether a value needs no quotes to be told from what follows it.
fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|character| is_plain(character) && !"\"\\=".contains(character))
}

const fn is_plain(character: char) -> bool {
    matches!(character, '!'..='~')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "eve\"\n2026 INFO said\r\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{202e}";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(has_colour: bool, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(TextLine { has_colour })
            .finish();
        tracing::subscriber::with_default(log, say);
        let text = lines.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_reads_as_words() {
        let line = logged(false, || {
            tracing::info!(user = "jane", detail = "two words", count = 3, none = None::<&str>, "said it");
        });
        assert!(line.ends_with(" INFO said it user=jane detail=\"two words\" count=3\n"), "{line}");
    }

    #[test]
    fn whatever_is_in_a_field_the_line_is_one_and_moves_no_cursor() {
        let error = io::Error::other(HOSTILE);
        let line = logged(false, || {
            tracing::warn!(user = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, error = %error, "{HOSTILE}");
        });
        assert_eq!(line.lines().count(), 1, "{line:?}");
        let odd = |character: char| character.is_control() || "\u{2028}\u{202e}".contains(character);
        assert!(!line.trim_end_matches('\n').contains(odd), "{line:?}");
        assert!(
            line.contains(r#"user="eve\"\n2026 INFO said\r\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{202e}""#),
            "{line}"
        );
        assert!(line.contains(r#" error="eve\"\n2026"#), "{line}");
    }

    #[test]
    fn colours_are_the_only_control_characters_of_a_terminal() {
        let line = logged(true, || tracing::error!(user = HOSTILE, "said"));
        assert!(line.starts_with(DIM) && line.contains("\u{1b}[31mERROR\u{1b}[0m said"), "{line:?}");
        assert_eq!(line.matches('\u{1b}').count(), 4, "{line:?}");
    }
}
