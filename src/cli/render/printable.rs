//! Text of strangers on a terminal.

use std::borrow::Cow;

use crate::text::is_invisible;

/// The text with everything escaped that a terminal would obey instead of showing it.
pub(in crate::cli) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(printable("a \u{1b}[31mred\r\n\u{9b}b"), "a \\u{1b}[31mred\\r\\n\\u{9b}b");
        assert_eq!(printable("\u{202e}txt.exe\u{200b}"), "\\u{202e}txt.exe\\u{200b}");
        assert!(matches!(printable("größe: 节点 😀"), Cow::Borrowed(_)));
    }
}
