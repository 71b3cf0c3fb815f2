//! Log events as JSON, one object a line, written field by field.
//!
//! The library's own JSON form collects every event into a map of owned values first, which costs more than
//! the review that the event is about.

use std::fmt;
use std::io;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use lockstep_core::escape::EscapeUnsafe;

/// `{"timestamp":…,"level":…,"message":…,…}`, with the event's fields beside its message.
#[derive(Debug)]
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
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
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", event.metadata().level())?;
        let mut fields = Fields { writer: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_str("}\n")
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_err() {
            return;
        }
        // A field's name is an identifier of the source: there is nothing in it to escape.
        self.outcome = self
            .writer
            .write_str(",\"")
            .and_then(|()| self.writer.write_str(field.name()))
            .and_then(|()| self.writer.write_str("\":"))
            .and_then(|()| value(&mut self.writer));
    }

    fn write_json(&mut self, field: &Field, value: &impl Serialize) {
        self.write(field, |writer| {
            let mut serializer = serde_json::Serializer::with_formatter(Bytes(writer), EscapeUnsafe);
            value.serialize(&mut serializer).map_err(|_| fmt::Error)
        });
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.bytes().fold(true, |is_plain, byte| is_plain & stands_for_itself(byte)) {
            self.write(field, |writer| {
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            });
        } else {
            self.write_json(field, &value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| writer.write_str(if value { "true" } else { "false" }));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write_json(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write_json(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write_json(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Most of what is logged is plain, and written as it is.
const fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// serde_json writes bytes, of which every piece is text by itself.
struct Bytes<'b, 'w>(&'b mut Writer<'w>);

impl io::Write for Bytes<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

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

    #[test]
    fn every_line_is_one_object_whatever_is_in_it() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(JsonLine).finish();
        tracing::subscriber::with_default(log, || {
            tracing::info!(
                user = "a\"b\n\u{1b}[31m\u{7f}\u{9b}é",
                count = 3_u64,
                dry_run = false,
                missing = None::<&str>,
                "said"
            );
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["user"], "a\"b\n\u{1b}[31m\u{7f}\u{9b}é");
        assert_eq!((&line["count"], &line["dry_run"]), (&3.into(), &false.into()));
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"said".into()));
        assert!(line.get("missing").is_none() && line["timestamp"].is_string());
    }
}
