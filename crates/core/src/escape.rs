//! Safe display of text from users: unsafe characters are escaped, and the length is bounded.
//!
//! Users choose names, labels and whole manifests. Unescaped, they could move a terminal's cursor, imitate a line of
//! the log, or display a name in another order. [`is_unsafe`] is the only definition of such characters; messages,
//! logs, tables and JSON lines use it.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The maximum length of an [`excerpt`], in characters.
const EXCERPT_LIMIT: usize = 80;

/// Marks text that was cut.
const ELLIPSIS: &str = "...";

/// Whether a terminal or a log viewer would interpret, reorder or hide the character instead of displaying it.
///
/// These are the control characters (Unicode `Cc`), the line and paragraph separators, the marks of writing direction
/// (`Bidi_Control`), and the invisible format characters: soft hyphen, zero-width characters, interlinear annotations and tags.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text on one line, with unsafe characters escaped as in Rust source: `\n`, `\u{1b}`.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    text.chars().for_each(|character| push_escaped(character, &mut escaped));
    Cow::Owned(escaped)
}

fn push_escaped(character: char, escaped: &mut String) {
    if is_unsafe(character) {
        escaped.extend(character.escape_default());
    } else {
        escaped.push(character);
    }
}

/// The text as printable ASCII on one line, cut to `limit` bytes: HTTP headers allow nothing else.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let before = shown.len();
        if character == ' ' || character.is_ascii_graphic() {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
        if shown.len() > limit {
            shown.truncate(before);
            while shown.len().saturating_add(ELLIPSIS.len()) > limit && shown.pop().is_some() {}
            shown.push_str(ELLIPSIS);
            break;
        }
    }
    shown
}

/// The text, cut to at most `limit` bytes without splitting a character. It is not escaped.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    let end = text.floor_char_boundary(limit);
    text.get(..end).unwrap_or_default()
}

/// User input for a message: escaped, and cut to 80 characters, because the input may be megabytes.
#[must_use]
pub fn excerpt(input: &str) -> String {
    let mut characters = input.chars();
    let mut shown = String::new();
    characters.by_ref().take(EXCERPT_LIMIT).for_each(|character| push_escaped(character, &mut shown));
    if characters.next().is_some() {
        shown.push_str(ELLIPSIS);
    }
    shown
}

/// Appends `value` to `out` as JSON on one line, with unsafe characters escaped as `\u` and four hexadecimal digits.
///
/// # Errors
/// If `value` cannot be serialised as JSON, such as a map whose keys are not strings.
pub fn write_json(value: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, value)?;
    // Nearly all values are plain, and one check of the whole is faster than one check per string.
    if out.get(start..).is_some_and(is_plain) {
        return Ok(());
    }
    out.truncate(start);
    value.serialize(&mut Serializer::with_formatter(out, EscapeUnsafe))
}

/// Whether the bytes are printable ASCII. There is no early exit, so that the compiler compares sixteen bytes at a
/// time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'))
}

/// A `serde_json` formatter that escapes unsafe characters. JSON itself requires escapes up to U+001F only.
#[derive(Debug, Clone, Copy)]
pub struct EscapeUnsafe;

impl Formatter for EscapeUnsafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_unsafe) {
            let plain = piece.trim_end_matches(is_unsafe);
            out.write_all(plain.as_bytes())?;
            for unit in piece.get(plain.len()..).unwrap_or_default().encode_utf16() {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\"b\\\n\u{1b}[31m\u{7f}\u{9b}é\u{202e}\u{2028}z\u{feff}\u{ad}\u{e0041}";

    #[test]
    fn plain_text_of_any_language_is_unchanged() {
        for text in ["loadbalancerIPs.metallb.io", "größe: 节点 😀", ""] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
            assert_eq!(excerpt(text), text);
        }
    }

    #[test]
    fn control_bidi_and_invisible_characters_are_escaped() {
        let shown = r#"a"b\\n\u{1b}[31m\u{7f}\u{9b}é\u{202e}\u{2028}z\u{feff}\u{ad}\u{e0041}"#;
        assert_eq!(escape(HOSTILE), shown);
        assert_eq!(excerpt(HOSTILE), shown);
    }

    #[test]
    fn json_stays_json_with_unsafe_characters_escaped() {
        let mut line = b"before ".to_vec();
        write_json(&HOSTILE, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        let json = r#""a\"b\\\n\u001b[31m\u007f\u009bé\u202e\u2028z\ufeff\u00ad\udb40\udc41""#;
        assert_eq!(line.strip_prefix("before "), Some(json));
        assert_eq!(serde_json::from_str::<String>(json).unwrap(), HOSTILE);
    }

    #[test]
    fn ascii_text_is_cut_no_more_than_needed() {
        assert_eq!(ascii(r#"a 'b' "c" \d"#, 64), r#"a 'b' "c" \d"#);
        assert_eq!(ascii("\u{e4}\u{7f}", 64), "\\u{e4}\\u{7f}");
        assert_eq!(ascii("123456", 6), "123456");
        assert_eq!(ascii("1234567", 6), "123...");
        assert_eq!(ascii("12345\n", 6), "123...");
        assert_eq!(ascii("1234\n", 6), "1234\\n");
    }

    #[test]
    fn an_excerpt_has_80_characters_at_most() {
        assert_eq!(excerpt(&"x".repeat(1_000_000)), format!("{}...", "x".repeat(80)));
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("naïve", 3), "na");
        assert_eq!(cut("naïve", 4), "naï");
        assert_eq!(cut("short", 100), "short");
    }
}
