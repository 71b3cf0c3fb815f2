//! A line of the decision log: its form, which [the schema](schema) publishes, its limit, and how lines are read.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use k8s_openapi::jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize, Serializer};

use super::Record;

/// The version of the form. New fields may come without a new version; a field never changes its meaning.
pub const SCHEMA: u32 = 1;

/// The maximum length of a line, in bytes. A longer record is dropped and counted as dropped, so that every written
/// line can be read: a verifier would not recognize a longer line.
pub const LINE_LIMIT: usize = 4 << 20;

/// One line of the decision log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "A line of Lockstep's decision log")]
pub struct Line<'a> {
    /// The version of this form: 1.
    pub schema: u32,
    /// The chain that the line belongs to. Each start of a process begins a chain.
    pub chain: Cow<'a, str>,
    /// The replica that wrote the line: the name of the pod.
    pub replica: Cow<'a, str>,
    /// The position in the chain. The first line has 0, every review takes the next number, and a `dropped` line stands for
    /// the numbers from `first` to its own.
    pub sequence: u64,
    /// The time of the decision (RFC 3339, UTC, microseconds).
    #[serde(serialize_with = "with_microseconds")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The hash of the previous line, 64 hexadecimal digits. The first line of a process has the hash of the last line in
    /// the file that it appends to, or zeros if there is none.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub previous: Cow<'a, str>,
    /// SHA-256 of the bytes of this line up to `,"hash":`, 64 hexadecimal digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub hash: Cow<'a, str>,
    /// The event that the line records.
    #[serde(flatten)]
    pub content: Content<'a>,
}

/// Serializes a time as [`super::chain`] writes it, with six digits. jiff alone omits trailing zeros.
fn with_microseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// The event that a line records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Content<'a> {
    /// A process began its chain.
    Started(Started<'a>),
    /// A review was decided.
    Review(Box<Record<'a>>),
    /// Records were dropped because the queue was full or a record was too long. The decisions themselves did not change.
    Dropped(Dropped),
    /// The process exited in order. No line of the chain follows.
    Ended(Ended),
}

/// The fields of a `started` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started<'a> {
    /// The version of Lockstep.
    pub version: Cow<'a, str>,
}

/// The fields of a `dropped` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// The sequence number of the first dropped record; the line's own is that of the last.
    pub first: u64,
    /// The number of dropped records.
    pub count: u64,
}

/// The fields of an `ended` line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// The number of reviews in the chain.
    pub records: u64,
    /// The number of records that were dropped.
    pub dropped: u64,
}

/// The JSON Schema of a line.
#[must_use]
pub fn schema() -> Schema {
    schema_for!(Line<'static>)
}

/// Reads the lines of a log with any bytes.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

/// A line as read, which may not belong to a decision log.
#[derive(Debug, Clone, Copy)]
pub struct RawLine<'l> {
    /// The number of the line, from 1.
    pub number: u64,
    /// The bytes without the line break, cut to [`LINE_LIMIT`].
    pub bytes: &'l [u8],
    /// Whether the line ends with a line break; the last line of a file may not.
    pub is_terminated: bool,
}

impl<R: BufRead> LineReader<R> {
    /// A reader of the lines of `reader`.
    pub const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// Reads the next line; `None` at the end.
    ///
    /// # Errors
    /// The error of the underlying reader.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buffer.clear();
        if self.read_piece()? == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let is_terminated = self.is_terminated() || self.skip_rest()?;
        let bytes = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        Ok(Some(RawLine { number: self.number, bytes, is_terminated }))
    }

    fn read_piece(&mut self) -> io::Result<usize> {
        // One more byte, for the line break.
        let limit = LINE_LIMIT.saturating_add(1) as u64;
        self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)
    }

    fn is_terminated(&self) -> bool {
        self.buffer.ends_with(b"\n")
    }

    /// Skips the rest of a line that is too long. Returns whether a line break ends it.
    fn skip_rest(&mut self) -> io::Result<bool> {
        let kept = self.buffer.len().min(LINE_LIMIT);
        loop {
            let read = self.read_piece()?;
            let is_terminated = read > 0 && self.is_terminated();
            self.buffer.truncate(kept);
            if read == 0 || is_terminated {
                return Ok(is_terminated);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_the_limit_is_cut_and_counted_as_one() {
        let longest = vec![b'x'; LINE_LIMIT];
        let text = [&longest[..], b"\n", &longest, &longest, b"more\nshort\n\nlast"].concat();
        let mut lines = LineReader::new(&text[..]);
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            seen.push((line.number, line.bytes.len(), line.is_terminated));
        }
        let (limit, terminated) = (LINE_LIMIT, true);
        assert_eq!(
            seen,
            [
                (1, limit, terminated),
                (2, limit, terminated),
                (3, 5, terminated),
                (4, 0, terminated),
                (5, 4, false)
            ]
        );
    }
}
