//! The format of a log line: JSON for programs, text for a terminal.
//!
//! Every event is exactly one line, whatever users put into its fields. The text format of `tracing-subscriber` does
//! not ensure this: it writes line breaks unescaped, so that a name could imitate a line of the log, and values
//! recorded with `%` without quotes, so that a value could imitate another field. Its JSON format leaves DEL, C1
//! controls and marks of writing direction unescaped. Both formats here share one visitor.

use std::fmt;
use std::io;

use k8s_openapi::jiff::Timestamp;
use lockstep_core::escape::{EscapeUnsafe, escape, is_unsafe};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const DIM: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// The format of a log line.
#[derive(Debug, Clone, Copy)]
pub(super) enum LineFormat {
    /// JSON: `{"timestamp":…,"level":…,"target":…,"message":…,…}`, followed by the event's fields.
    Json,
    /// Text: `TIME LEVEL target: message field=value …`. A value that is not one plain word is quoted.
    Text {
        /// Whether the terminal supports colours.
        has_colour: bool,
    },
}

impl LineFormat {
    fn write_head(self, writer: &mut Writer<'_>, level: Level, target: &str) -> fmt::Result {
        let now = Timestamp::now();
        match self {
            Self::Json => {
                write!(writer, "{{\"timestamp\":\"{now:.6}")?;
                write_parts(writer, ["\",\"level\":\"", level.as_str(), "\",\"target\":"])?;
                write_json_text(writer, target)
            }
            Self::Text { has_colour: false } => write!(writer, "{now:.6} {level:>5} {}:", escape(target)),
            Self::Text { has_colour: true } => {
                let colour = colour(level);
                write!(
                    writer,
                    "{DIM}{now:.6}{RESET} {colour}{level:>5}{RESET} {DIM}{}:{RESET}",
                    escape(target)
                )
            }
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Json => "}\n",
            Self::Text { .. } => "\n",
        }
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

impl<S, N> FormatEvent<S, N> for LineFormat
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
        // A record of the `log` crate has its own target and level in fields.
        let of_log_record = event.normalized_metadata();
        let metadata = of_log_record.as_ref().unwrap_or_else(|| event.metadata());
        self.write_head(&mut writer, *metadata.level(), metadata.target())?;
        let mut fields = Fields {
            format: *self,
            is_log_record: of_log_record.is_some(),
            writer: writer.by_ref(),
            outcome: Ok(()),
        };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_str(self.end())
    }
}

/// Writes the fields of an event.
struct Fields<'w> {
    format: LineFormat,
    is_log_record: bool,
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: Value<'_>) {
        let is_metadata = self.is_log_record && field.name().starts_with("log.");
        if self.outcome.is_ok() && !is_metadata {
            let (name, writer) = (field.name(), &mut self.writer);
            self.outcome = match self.format {
                LineFormat::Json => write_json_field(writer, name, value),
                LineFormat::Text { .. } => write_text_field(writer, name, value),
            };
        }
    }
}

/// A field's value.
#[derive(Clone, Copy)]
enum Value<'v> {
    Text(&'v str),
    /// A number or a boolean, which has the same form in JSON and text.
    Plain(&'v dyn fmt::Display),
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, Value::Text(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, Value::Plain(&value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, Value::Plain(&value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, Value::Plain(&value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.write(field, Value::Plain(&value));
        } else {
            // JSON cannot represent this number.
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn write_json_field(writer: &mut Writer<'_>, name: &str, value: Value<'_>) -> fmt::Result {
    // A field's name is an identifier in the source, so it needs no escapes.
    write_parts(writer, [",\"", name, "\":"])?;
    match value {
        Value::Text(text) => write_json_text(writer, text),
        Value::Plain(value) => write!(writer, "{value}"),
    }
}

fn write_json_text(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    // Most texts are plain. There is no early exit, so that the compiler compares sixteen bytes at a time.
    let is_plain = text.bytes().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
    });
    if is_plain {
        return write_parts(writer, ["\"", text, "\""]);
    }
    let mut serializer = serde_json::Serializer::with_formatter(Utf8Writer(writer), EscapeUnsafe);
    text.serialize(&mut serializer).map_err(|_| fmt::Error)
}

/// Writes texts one after another, which is faster than `write!`.
fn write_parts(writer: &mut Writer<'_>, parts: [&str; 3]) -> fmt::Result {
    parts.into_iter().try_for_each(|part| writer.write_str(part))
}

/// An adapter for `serde_json`, which writes bytes. Each of its writes is whole UTF-8.
struct Utf8Writer<'b, 'w>(&'b mut Writer<'w>);

impl io::Write for Utf8Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_text_field(writer: &mut Writer<'_>, name: &str, value: Value<'_>) -> fmt::Result {
    match value {
        // A library's message may contain input of a user.
        Value::Text(text) if name == "message" => write!(writer, " {}", escape(text)),
        Value::Text(text) if !is_word(text) => {
            write!(writer, " {name}=\"")?;
            text.chars().try_for_each(|character| match character {
                '"' | '\\' => write!(writer, "\\{character}"),
                character if is_unsafe(character) => write!(writer, "{}", character.escape_default()),
                character => writer.write_char(character),
            })?;
            writer.write_char('"')
        }
        Value::Text(text) => write!(writer, " {name}={text}"),
        Value::Plain(value) => write!(writer, " {name}={value}"),
    }
}

/// Whether a value needs no quotes to be separated from the text after it.
fn is_word(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !b"\"\\=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "eve\"\n2026 INFO review\r\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{202e}é";

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

    fn logged(format: LineFormat, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(format).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = lines.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    fn parsed(log: impl FnOnce()) -> serde_json::Value {
        let line = logged(LineFormat::Json, log);
        assert_eq!(line.lines().count(), 1, "{line:?}");
        assert!(!line.trim_end_matches('\n').contains(is_unsafe), "{line:?}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn a_json_line_is_one_object_with_any_fields() {
        let line = parsed(|| {
            tracing::info!(
                user = HOSTILE,
                count = 3_u64,
                dry_run = false,
                ratio = 0.5,
                undefined = f64::NAN,
                missing = None::<&str>,
                "{HOSTILE}"
            );
        });
        assert_eq!((&line["user"], &line["message"]), (&HOSTILE.into(), &HOSTILE.into()));
        assert_eq!((&line["count"], &line["dry_run"]), (&3.into(), &false.into()));
        assert_eq!((&line["ratio"], &line["undefined"]), (&0.5.into(), &"NaN".into()));
        assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &module_path!().into()));
        assert!(line.get("missing").is_none() && line["timestamp"].is_string());
    }

    #[test]
    fn a_text_line_has_level_target_message_and_fields() {
        let line = logged(LineFormat::Text { has_colour: false }, || {
            tracing::info!(user = "jane", detail = "two words", count = 3, none = None::<&str>, "review");
        });
        let target = module_path!();
        assert!(
            line.ends_with(&format!(" INFO {target}: review user=jane detail=\"two words\" count=3\n")),
            "{line}"
        );
    }

    #[test]
    fn a_text_line_is_one_line_with_any_fields() {
        let error = io::Error::other(HOSTILE);
        let line = logged(LineFormat::Text { has_colour: false }, || {
            tracing::warn!(user = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, error = %error, "{HOSTILE}");
        });
        assert_eq!(line.lines().count(), 1, "{line:?}");
        assert!(!line.trim_end_matches('\n').contains(is_unsafe), "{line:?}");
        let quoted = r#"="eve\"\n2026 INFO review\r\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{202e}é""#;
        for field in ["user", "shown", "error"] {
            assert!(line.contains(&format!(" {field}{quoted}")), "{line}");
        }
    }

    #[test]
    fn colours_are_the_only_control_characters_on_a_terminal() {
        let line = logged(LineFormat::Text { has_colour: true }, || {
            tracing::error!(user = HOSTILE, "review");
        });
        assert!(line.starts_with(DIM) && line.contains("\u{1b}[31mERROR\u{1b}[0m "), "{line:?}");
        assert_eq!(line.matches('\u{1b}').count(), 6, "{line:?}");
    }

    #[test]
    fn records_of_the_log_crate_keep_their_target_and_level() {
        // All tests share the logger of the process.
        let _ = tracing_log::LogTracer::init();
        let line = parsed(|| log::warn!(target: "rustls::conn", "sending alert {HOSTILE}"));
        assert_eq!((&line["target"], &line["level"]), (&"rustls::conn".into(), &"WARN".into()));
        assert_eq!(line["message"], format!("sending alert {HOSTILE}"));
        assert_eq!(line.as_object().unwrap().len(), 4, "{line}");
    }
}
