//! Excerpts of user input for messages: enough of it to recognise, and nothing that breaks a terminal or a log.

/// The longest excerpt, in characters.
const SHOWN: usize = 80;

/// The text, cut where it is longer than `limit` bytes. A cut never splits a character.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    let end = text.floor_char_boundary(limit);
    text.get(..end).unwrap_or_default()
}

/// The input on one line: control characters are escaped, and input longer than 80 characters is cut, because it may be
/// megabytes.
#[must_use]
pub fn excerpt(input: &str) -> String {
    let mut characters = input.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).flat_map(printable).collect();
    if characters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let is_control = character.is_control();
    character.escape_default().filter(move |_| is_control).chain((!is_control).then_some(character))
}

#[cfg(test)]
mod tests {
    use super::{cut, excerpt};

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("naïve", 3), "na");
        assert_eq!(cut("naïve", 4), "naï");
        assert_eq!(cut("short", 100), "short");
    }

    #[test]
    fn what_is_short_and_plain_stays_as_it_is() {
        assert_eq!(excerpt("loadbalancerIPs.metallb.io"), "loadbalancerIPs.metallb.io");
        assert_eq!(excerpt("naïve"), "naïve");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(excerpt("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    }

    #[test]
    fn what_is_long_is_cut() {
        let cut = excerpt(&"x".repeat(1_000_000));
        assert_eq!(cut, format!("{}...", "x".repeat(80)));
    }
}
