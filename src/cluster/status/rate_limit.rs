//! No replica writes the same verdict again and again.
//!
//! Replicas come to the same verdict unless they differ: in their version during a rollout, or in the
//! certificates that they rely on. Then each would undo what the other wrote, as fast as the network lets them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::coverage::Guarded;

/// How long a replica leaves it at that if somebody has replaced its verdict.
const REPEAT: Duration = Duration::from_secs(60);

/// What was written last, by the uid of the topology.
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
    /// Forgets the topologies that are gone.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.written.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// When the verdict may be written; `None` is now. Any other verdict than the last one is news.
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
        last.at.checked_add(REPEAT).filter(|at| *at > now)
    }

    /// Notes that the verdict was written.
    pub(super) fn note(&mut self, uid: &str, generation: i64, guarded: &Guarded, at: Instant) {
        let written = Written { guarded: guarded.clone(), generation, at };
        self.written.insert(uid.to_owned(), written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Reason;

    fn guarded(reason: Reason) -> Guarded {
        Guarded { reason, message: String::new() }
    }

    #[test]
    fn the_same_verdict_waits_and_any_other_is_news() {
        let (covered, open) = (guarded(Reason::Covered), guarded(Reason::FailsOpen));
        let now = Instant::now();
        let later = now + REPEAT;
        let mut rate_limit = RateLimit::default();
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
        rate_limit.note("a", 1, &covered, now);
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), Some(later));
        assert_eq!(rate_limit.not_before("b", 1, &covered, now), None);
        assert_eq!(rate_limit.not_before("a", 1, &covered, later), None);

        for (generation, other) in [(2, &covered), (1, &open)] {
            rate_limit.note("a", 1, &covered, now);
            assert_eq!(rate_limit.not_before("a", generation, other, now), None);
            // Also if another replica wrote that one.
            assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
        }
        rate_limit.note("a", 1, &covered, now);
        rate_limit.keep_only(&BTreeSet::new());
        assert_eq!(rate_limit.not_before("a", 1, &covered, now), None);
    }
}
