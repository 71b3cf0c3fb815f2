//! The error type of the harness.

use std::fmt;

/// The result of a call of the harness.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why there is no control plane, in a sentence that says what to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Error {
    /// This machine lacks a program: tests may be skipped, unless they are required.
    Unavailable(String),
    /// A program failed.
    Failed(String),
}

impl Error {
    pub(super) fn failed(sentence: impl fmt::Display) -> Self {
        Self::Failed(sentence.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unavailable(sentence) | Self::Failed(sentence)) = self;
        f.write_str(sentence)
    }
}

// A test that unwraps prints this: the sentence and the server's log with real line breaks.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
