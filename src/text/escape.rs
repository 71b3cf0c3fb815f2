//! JSON that is safe on a terminal, too.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// JSON asks for escapes up to U+001F only; DEL and the C1 controls can move a terminal's cursor as well, and
/// the marks of writing direction can show a name in another order than it has.
pub(crate) struct Escape;

impl Formatter for Escape {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_invisible) {
            let plain = piece.trim_end_matches(is_invisible);
            out.write_all(plain.as_bytes())?;
            for character in piece.chars().skip(plain.chars().count()) {
                write!(out, "\\u{:04x}", u32::from(character))?;
            }
        }
        Ok(())
    }
}

/// Control characters, and those that reorder or hide the text around them (Unicode's `Bidi_Control` and
/// zero-width format characters). All of them have four hexadecimal digits at most.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

/// Appends a value on one line.
///
/// Nearly everything is plain, which one look at the whole shows for less than a look at every text in it.
pub(crate) fn to_json(value: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, value)?;
    if out.get(start..).is_some_and(is_plain) {
        return Ok(());
    }
    out.truncate(start);
    value.serialize(&mut Serializer::with_formatter(out, Escape))
}

/// Whether there is nothing but ASCII that stands for itself. Without an early end, so that the compiler takes sixteen
/// bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::to_json;

    #[test]
    fn nothing_that_moves_a_cursor_stands_for_itself() {
        let text = "a\"b\\\n\u{1b}[31m\u{7f}\u{9b}é\u{202e}\u{2028}z\u{feff}";
        let mut json = Vec::new();
        to_json(&text, &mut json).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert_eq!(json, r#""a\"b\\\n\u001b[31m\u007f\u009bé\u202e\u2028z\ufeff""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        let mut line = b"before ".to_vec();
        to_json(&["plain", "del\u{7f}"], &mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), r#"before ["plain","del\u007f"]"#);
    }
}
