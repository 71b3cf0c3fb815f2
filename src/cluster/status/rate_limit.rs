//! The rate limit of status writes: no replica writes the same verdict twice within a minute.
//!
//! Replicas reach the same verdict unless they differ in their version, as during a rollout, or in their certificates.
//! Without a limit, each would replace the status of the other as fast as the network allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::coverage::Guarded;

/// The time for which a replica does not rewrite a verdict that another client has replaced.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The last verdict written, by the uid of the topology.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    written: BTreeMap<String, Written>,
}

#[derive(Debug)]
struct Written {
    guarded: Guarded,
    generation: i64,
    at: Instant,
}

impl RateLimit {
    /// Forgets the topologies that are not among `uids`.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.written.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Returns the earliest time to write the verdict; `None` means now. A verdict that differs from the last one is
    /// written at once.
    pub(super) fn not_before(
        &mut self,
        uid: &str,
        generation: i64,
        guarded: &Guarded,
        now: Instant,
    ) -> Option<Instant> {
        let last = self.written.get(uid)?;
        if (last.generation, &last.guarded) != (generation, guarded) {
            self.written.remove(uid);
            return None;
        }
        last.at.checked_add(REPEAT_AFTER).filter(|at| *at > now)
    }

    /// Records that the verdict was written.
    pub(super) fn note(&mut self, uid: &str, generation: i64, guarded: &Guarded, at: Instant) {
        let written = Written { guarded: guarded.clone(), generation, at };
        self.written.insert(uid.to_owned(), written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::GuardedReason;

    fn guarded(reason: GuardedReason) -> Guarded {
        Guarded { reason, message: String::new() }
    }

    #[test]
    fn the_same_verdict_waits_and_any_other_is_written_at_once() {
        let (covered, open) = (guarded(GuardedReason::Covered), guarded(GuardedReason::FailsOpen));
        let now = Instant::now();
        let later = now + REPEAT_AFTER;
        let mut rate_limit = RateLimit::default();
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
        rate_limit.note("a", 1, &covered, now);
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), Some(later));
        assert_eq!(rate_limit.not_before("b", 1, &covered, now), None);
        assert_eq!(rate_limit.not_before("a", 1, &covered, later), None);

        for (generation, other) in [(2, &covered), (1, &open)] {
            rate_limit.note("a", 1, &covered, now);
            assert_eq!(rate_limit.not_before("a", generation, other, now), None);
            // The same holds if another replica wrote that one.
            assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
        }
        rate_limit.note("a", 1, &covered, now);
        rate_limit.keep_only(&BTreeSet::new());
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
    }
}
