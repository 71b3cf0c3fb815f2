//! What to do when a watch fails: wait longer each time, and say it once.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::Watched;
use super::failure::Failure;
use super::target::Target;

/// How soon a kind that is not installed is asked for again. A person who installs it waits that long, and
/// requests about it are turned away meanwhile; the API server repeats those for about as long.
const MISSING_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two tries. An API server that is back is in use again this soon: while it was gone,
/// facts may have grown too old to be used. A request of each watch every few seconds is no burden to it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A failure that comes later than this after the last one is news again. kube's backoff starts over then, too.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// The failures of one watch, from the first to the next success.
#[derive(Default)]
pub(super) struct Trouble {
    backoff: DefaultBackoff,
    last: Option<(Instant, Failure)>,
}

impl Trouble {
    /// Notes a failure and says how long to wait.
    pub(super) fn note(&mut self, failure: &Failure, target: &Target) -> Duration {
        let now = Instant::now();
        let is_news = self.last.as_ref().is_none_or(|(when, last)| {
            last != failure || now.saturating_duration_since(*when) > FORGET_AFTER
        });
        // The watcher reports the start of every list as a success, which would reset kube's own adapter
        // before every failure: the delay would never grow.
        let pause = match failure {
            Failure::Missing => MISSING_PAUSE,
            // An API server that is back. What it is asked for next has nothing to do with why it was gone.
            Failure::Expired(_) => {
                self.backoff.reset();
                self.next_pause()
            }
            Failure::Other(_) => self.next_pause(),
        };
        if is_news {
            announce(failure, target);
        } else {
            debug!(kind = ?target.kind, namespace = target.namespace, ?failure, "the watch still fails");
        }
        self.last = Some((now, failure.clone()));
        pause
    }

    fn next_pause(&mut self) -> Duration {
        self.backoff.next().map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
    }

    /// Notes a success.
    pub(super) fn over(&mut self, target: &Target) {
        if self.last.take().is_some() {
            self.backoff.reset();
            info!(kind = ?target.kind, namespace = target.namespace, "the watch works again");
        }
    }
}

fn announce(failure: &Failure, target: &Target) {
    let (kind, namespace) = (target.kind, target.namespace.as_deref());
    match failure {
        Failure::Missing if kind == Watched::GatewayTopology => error!(
            ?kind,
            "the kind is not installed, so nothing can be answered: apply the output of `lockstep crd`"
        ),
        Failure::Missing => warn!(?kind, namespace, "the kind is not installed; waiting for it"),
        Failure::Expired(failure) => {
            info!(?kind, namespace, error = failure, "the watch starts over with a list");
        }
        Failure::Other(failure) => {
            warn!(?kind, namespace, error = failure, "the watch failed; trying again until it works");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::GatewayTopologySpec;

    fn target() -> Target {
        super::super::target::targets([&GatewayTopologySpec::default()].into_iter()).pop_last().unwrap()
    }

    #[tokio::test]
    async fn pauses_grow_until_a_success() {
        let mut trouble = Trouble::default();
        let target = target();
        let fail = |trouble: &mut Trouble| trouble.note(&Failure::Other("no".to_owned()), &target);
        let first = fail(&mut trouble);
        let third = (fail(&mut trouble), fail(&mut trouble)).1;
        assert!(third > first, "{first:?}, then {third:?}");
        trouble.over(&target);
        assert!(fail(&mut trouble) < third);
    }

    #[tokio::test]
    async fn an_api_server_that_is_back_is_not_waited_for_long() {
        let mut trouble = Trouble::default();
        for _ in 0..50 {
            assert!(trouble.note(&Failure::Other("no".to_owned()), &target()) <= LONGEST_PAUSE);
        }
    }

    #[tokio::test]
    async fn a_version_that_expired_is_listed_anew_soon_however_long_the_api_server_was_gone() {
        let mut trouble = Trouble::default();
        for _ in 0..50 {
            trouble.note(&Failure::Other("no".to_owned()), &target());
            assert!(trouble.note(&Failure::Expired("too old".to_owned()), &target()) < LONGEST_PAUSE / 2);
        }
    }

    #[tokio::test]
    async fn a_missing_kind_is_asked_for_at_the_same_pace_for_ever() {
        let mut trouble = Trouble::default();
        for _ in 0..50 {
            assert_eq!(trouble.note(&Failure::Missing, &target()), MISSING_PAUSE);
        }
    }
}
