//! The harness's one error type.

use std::fmt;

/// The result of everything in the harness.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no control plane, in a sentence that says what to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Error {
    /// This machine lacks what the tests need: a reason to skip them, except where they must run.
    Unavailable(String),
    /// Something broke.
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

// A test that unwraps prints this: the sentence and the server's log with real line ends.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
