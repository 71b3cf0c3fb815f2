//! What to do when a request fails: wait longer each time, and say it once.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use tracing::{debug, info, warn};

use crate::cluster::failure::words;

/// Where kube's backoff has no further pause to offer.
const LONGEST: Duration = Duration::from_secs(60);

/// The failures of requests, from the first to the next pass without one.
#[derive(Default)]
pub(super) struct Trouble {
    backoff: DefaultBackoff,
    last: Option<String>,
}

impl Trouble {
    /// Notes that a pass ended with a failure and says how long to wait.
    pub(super) fn note(&mut self, error: &kube::Error) -> Duration {
        let text = told(error);
        if self.last.as_ref() == Some(&text) {
            debug!(error = text, "the status of topologies still cannot be kept");
        } else {
            warn!(error = text, "the status of topologies cannot be kept; trying again until it can");
            self.last = Some(text);
        }
        self.backoff.next().unwrap_or(LONGEST)
    }

    /// Notes a pass without a failure.
    pub(super) fn over(&mut self) {
        if self.last.take().is_some() {
            self.backoff.reset();
            info!("the status of topologies is kept again");
        }
    }
}

fn told(error: &kube::Error) -> String {
    let words = words(error);
    match error {
        // A chart's upgrade leaves the definition as it is.
        kube::Error::Api(status) if status.code == 404 => {
            format!("{words}: apply the output of `lockstep crd`")
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn error(code: u16) -> kube::Error {
        kube::Error::Api(Status::failure("no", "").with_code(code).boxed())
    }

    #[test]
    fn an_old_definition_is_told_from_a_lack_of_rights() {
        assert_eq!(told(&error(403)), "no (403)");
        assert_eq!(told(&error(404)), "no (404): apply the output of `lockstep crd`");
    }

    #[tokio::test]
    async fn pauses_grow_until_a_success() {
        let mut trouble = Trouble::default();
        let first = trouble.note(&error(403));
        let third = (trouble.note(&error(403)), trouble.note(&error(403))).1;
        assert!(third > first, "{first:?}, then {third:?}");
        trouble.over();
        assert!(trouble.note(&error(403)) < third);
    }
}
