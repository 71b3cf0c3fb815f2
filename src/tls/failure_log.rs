//! A log of a repeating failure.

use std::error::Error;

use tracing::{info, warn};

use crate::error::chain;

/// A logger of a failure when it begins, when its cause changes and when it is over, but not each time it repeats.
#[derive(Debug)]
pub(super) struct FailureLog {
    failed: &'static str,
    recovered: &'static str,
    last: Option<String>,
}

impl FailureLog {
    /// Creates a log with the messages for a failure and for the recovery.
    pub(super) const fn new(failed: &'static str, recovered: &'static str) -> Self {
        Self { failed, recovered, last: None }
    }

    /// Records the outcome of one attempt.
    pub(super) fn record<T, E: Error + 'static>(&mut self, outcome: &Result<T, E>) {
        let error = outcome.as_ref().err().map(|error| chain(error));
        if self.is_news(error) {
            match &self.last {
                Some(error) => warn!(error, "{}", self.failed),
                None => info!("{}", self.recovered),
            }
        }
    }

    fn is_news(&mut self, error: Option<String>) -> bool {
        let is_news = self.last != error;
        self.last = error;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_once_per_cause_and_once_after_recovery() {
        let mut log = FailureLog::new("failed", "recovered");
        for (error, is_news) in [
            (None, false),
            (Some("one"), true),
            (Some("one"), false),
            (Some("other"), true),
            (Some("one"), true),
            (None, true),
            (None, false),
            (Some("one"), true),
        ] {
            assert_eq!(log.is_news(error.map(str::to_owned)), is_news, "{error:?}");
        }
    }
}
