//! Pieces of messages: user input, enough of it to recognise it and nothing that breaks a terminal or a log;
//! and errors with their causes.

mod escape;

pub(crate) use escape::{Escape, is_invisible, to_json};

use std::error::Error;

/// An error and its causes, outermost first.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
