//! When a status is written: soon after a verdict changes, and seldom otherwise.
//!
//! Replicas reach the same verdict, but not at the same moment, and replicas of different versions may reach different
//! verdicts. Without limits, each would replace the status of the other as fast as the network allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::token_bucket::TokenBucket;
use crate::topology::GatewayTopologyStatus;

/// The time for which a verdict must stand before it is written: events that belong together arrive within it.
const SETTLE: Duration = Duration::from_millis(300);

/// The time for which a status stays that another client wrote after this replica reached its verdict. It doubles each
/// time that the other client writes again.
const YIELD: Duration = Duration::from_secs(60);

/// The maximum of this time.
const LONGEST_YIELD: Duration = Duration::from_secs(3600);

/// The number of writes of one topology in a row without a pause.
const BURST: u32 = 5;

/// The time after which one more write is allowed.
const REFILL: Duration = Duration::from_secs(10);

/// The history of each topology, by its uid.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    histories: BTreeMap<String, History>,
}

#[derive(Debug)]
struct History {
    /// The status that the verdict asks for, without times, and since when.
    wanted: GatewayTopologyStatus,
    wanted_since: Instant,
    /// The stored status, without times, and since when, if another client wrote it.
    stored: GatewayTopologyStatus,
    replaced_at: Instant,
    /// How often another client replaced the status while the verdict stayed.
    replaced: u32,
    writes: TokenBucket,
}

impl Schedule {
    /// Forgets the topologies that are not among `uids`.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.histories.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Returns the earliest time to write `wanted` over `stored`, which differ.
    pub(super) fn not_before(
        &mut self,
        uid: &str,
        wanted: &GatewayTopologyStatus,
        stored: &GatewayTopologyStatus,
        now: Instant,
    ) -> Instant {
        let (wanted, stored) = (timeless(wanted), timeless(stored));
        let history = self.histories.entry(uid.to_owned()).or_insert_with(|| History {
            wanted: wanted.clone(),
            wanted_since: now,
            stored: stored.clone(),
            replaced_at: now,
            replaced: 0,
            writes: TokenBucket::new(BURST, REFILL, now),
        });
        if history.wanted != wanted {
            (history.wanted, history.wanted_since, history.replaced) = (wanted, now, 0);
        }
        if history.stored != stored {
            (history.stored, history.replaced_at) = (stored, now);
            history.replaced = history.replaced.saturating_add(1);
        }
        let settled = later(history.wanted_since, SETTLE);
        let yielded = if history.replaced_at > history.wanted_since {
            later(history.replaced_at, history.yields_for())
        } else {
            settled
        };
        settled.max(yielded).max(history.writes.ready_at(now))
    }

    /// Records that `status` was written.
    pub(super) fn note(&mut self, uid: &str, status: &GatewayTopologyStatus, now: Instant) {
        if let Some(history) = self.histories.get_mut(uid) {
            history.stored = timeless(status);
            history.writes.take(now);
        }
    }

    /// Records that the stored status is the wanted one, whoever wrote it.
    pub(super) fn note_agreement(&mut self, uid: &str, status: &GatewayTopologyStatus, now: Instant) {
        let status = timeless(status);
        if let Some(history) = self.histories.get_mut(uid) {
            if history.wanted != status {
                (history.wanted, history.wanted_since, history.replaced) = (status.clone(), now, 0);
            }
            history.stored = status;
        }
    }
}

impl History {
    fn yields_for(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.replaced.saturating_sub(1).min(16));
        YIELD.saturating_mul(doubled).min(LONGEST_YIELD)
    }
}

fn later(time: Instant, by: Duration) -> Instant {
    time.checked_add(by).unwrap_or(time)
}

/// The status without the times of its conditions.
fn timeless(status: &GatewayTopologyStatus) -> GatewayTopologyStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.last_transition_time.0 = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::StatusSummary;

    fn status(addresses: i64) -> GatewayTopologyStatus {
        let summary = Some(StatusSummary { addresses, ..StatusSummary::default() });
        GatewayTopologyStatus { summary, ..GatewayTopologyStatus::default() }
    }

    #[test]
    fn a_new_verdict_is_written_after_it_has_settled() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before("a", &status(1), &status(0), now), now + SETTLE);
        let later = now + SETTLE;
        assert_eq!(schedule.not_before("a", &status(1), &status(0), later), later);
        assert_eq!(schedule.not_before("a", &status(2), &status(0), later), later + SETTLE);
    }

    /// A replica whose watches lag would write an older verdict over a newer one.
    #[test]
    fn a_replica_yields_to_a_status_that_is_newer_than_its_verdict_longer_each_time() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before("a", &status(1), &status(0), now), now + SETTLE);
        schedule.note("a", &status(1), now);
        for (round, doubled) in [(0, 1), (1, 2), (2, 4)] {
            now += Duration::from_secs(1);
            let not_before = schedule.not_before("a", &status(1), &status(10 + round), now);
            assert_eq!(not_before, now + YIELD * doubled);
            now = not_before;
            assert_eq!(schedule.not_before("a", &status(1), &status(10 + round), now), now);
            schedule.note("a", &status(1), now);
        }
        // Its next verdict is news again.
        assert_eq!(schedule.not_before("a", &status(2), &status(12), now), now + SETTLE);
    }

    #[test]
    fn a_verdict_that_others_have_written_is_old_news() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before("a", &status(1), &status(0), now);
        schedule.note_agreement("a", &status(1), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(schedule.not_before("a", &status(1), &status(2), later), later + YIELD);
    }

    #[test]
    fn writes_in_a_row_are_bounded() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let (mut now, mut addresses, mut writes) = (start, 0, 0);
        while now < start + Duration::from_secs(100) {
            addresses += 1;
            // Each verdict is new, and stands until it is written.
            while schedule.not_before("a", &status(addresses), &status(0), now) > now {
                now = schedule.not_before("a", &status(addresses), &status(0), now);
            }
            schedule.note("a", &status(0), now);
            writes += 1;
        }
        assert!((10..=BURST + 11).contains(&writes), "{writes} writes in 100 s");
        schedule.keep_only(&BTreeSet::new());
        assert_eq!(schedule.not_before("a", &status(1), &status(0), now), now + SETTLE);
    }
}
