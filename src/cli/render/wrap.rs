//! Messages wrapped at the width of a terminal, between words. Lines of a manifest are not: their marks are below them.

/// A width at which wrapping would tear every sentence apart.
const MIN_WIDTH: usize = 40;

/// Wraps the messages of a rendered report.
pub(super) fn wrap(text: &str, width: usize) -> String {
    if width < MIN_WIDTH {
        return text.to_owned();
    }
    let lines: Vec<String> = text.split('\n').map(|line| wrap_line(line, width)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let plain = plain(line);
    let start = plain.trim_start();
    let is_note = start.starts_with('=');
    let is_excerpt =
        !is_note && (start.len() < plain.len() || start.starts_with(|first: char| first.is_ascii_digit()));
    if plain.chars().count() <= width || is_excerpt {
        return line.to_owned();
    }
    // The text of a note goes on below its beginning.
    let indent = if is_note {
        let label = plain.split_once(": ").map_or(0, |(label, _)| label.chars().count().saturating_add(2));
        label.min(width / 2)
    } else {
        4
    };
    let mut wrapped = String::new();
    let mut column = 0_usize;
    for word in line.split_inclusive(' ') {
        let length = self::plain(word).trim_end().chars().count();
        if column > indent && column.saturating_add(length) > width {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            column = indent;
        }
        wrapped.push_str(word);
        column = column.saturating_add(self::plain(word).chars().count());
    }
    wrapped
}

/// The text without the sequences that style it.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_wrap_between_words_and_excerpts_do_not() {
        let text = "error[RULE/CODE]: one two three four five six seven eight\n  --> a/file/with/a/long/name/that/is/not/wrapped.yaml:12:3\n   \
            |\n12 | key: a value that is longer than the terminal is wide\n   |      ^^^^^^^\n   \
            = help: write something else that is a long sentence, too";
        let expected = "error[RULE/CODE]: one two three four five\n    six seven eight\n  \
            --> a/file/with/a/long/name/that/is/not/wrapped.yaml:12:3\n   \
            |\n12 | key: a value that is longer than the terminal is wide\n   |      ^^^^^^^\n   \
            = help: write something else that is a\n           long sentence, too";
        assert_eq!(wrap(text, 42), expected);
        assert_eq!(wrap(text, 200), text);
        assert_eq!(wrap(text, 10), text);
    }

    #[test]
    fn styles_take_no_width_and_words_that_are_too_long_stay_whole() {
        let styled = "\x1b[1m\x1b[91merror\x1b[0m\x1b[1m: one two three four five six seven eight\x1b[0m";
        assert_eq!(wrap(styled, 48), styled);
        assert_eq!(plain(&wrap(styled, 41)), "error: one two three four five six seven\n    eight");
        let long = format!("error: {}", "x".repeat(100));
        assert_eq!(wrap(&long, 50), format!("error:\n    {}", "x".repeat(100)));
    }
}
