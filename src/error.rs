//! Errors with their causes, formatted as one sentence.

use std::error::Error;

/// The error and its causes, outermost first, separated by `: `. The system's messages are without their numbers, which say less.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    without_number(&text).to_owned()
}

/// A system's message without its number: `Connection refused (os error 111)`.
pub(crate) fn without_number(text: &str) -> &str {
    text.rsplit_once(" (os error ").map_or(text, |(words, _)| words)
}
