//! When a status is written: soon after a verdict changes, and seldom otherwise.
//!
//! Replicas reach the same verdict, but not at the same moment, and replicas of different versions may reach different
//! verdicts. Without limits, each would replace the status of the other as fast as the network allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::token_bucket::TokenBucket;
use super::verdicts::StoredTopology;
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
    /// The version of the topology that this replica has written over. Until the watch has received a newer one, what is
    /// stored is not known.
    overwritten: Option<String>,
    writes: TokenBucket,
}

impl Schedule {
    /// Forgets the topologies that are not among `uids`.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.histories.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Returns the earliest time to write `wanted` over the stored status, which differs; `None` while the watch has not
    /// received the last write of this replica.
    pub(super) fn not_before(
        &mut self,
        topology: &StoredTopology,
        wanted: &GatewayTopologyStatus,
        now: Instant,
    ) -> Option<Instant> {
        let (wanted, stored) = (timeless(wanted), timeless(&topology.status));
        let history = self.histories.entry(topology.uid.clone()).or_insert_with(|| History {
            wanted: wanted.clone(),
            wanted_since: now,
            stored: stored.clone(),
            replaced_at: now,
            replaced: 0,
            overwritten: None,
            writes: TokenBucket::new(BURST, REFILL, now),
        });
        if history.wanted != wanted {
            (history.wanted, history.wanted_since, history.replaced) = (wanted, now, 0);
        }
        if history.overwritten.as_ref() == Some(&topology.resource_version) {
            return None;
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
        Some(settled.max(yielded).max(history.writes.ready_at(now)))
    }

    /// Records that `status` was written over the status of `topology`.
    pub(super) fn note(&mut self, topology: &StoredTopology, status: &GatewayTopologyStatus, now: Instant) {
        if let Some(history) = self.histories.get_mut(&topology.uid) {
            history.stored = timeless(status);
            history.overwritten = Some(topology.resource_version.clone());
            history.writes.take(now);
        }
    }

    /// Records that the stored status is the wanted one, whoever wrote it.
    pub(super) fn note_agreement(&mut self, topology: &StoredTopology, now: Instant) {
        let status = timeless(&topology.status);
        if let Some(history) = self.histories.get_mut(&topology.uid) {
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
    use crate::topology::{GatewayTopologySpec, StatusSummary};

    fn status(addresses: i64) -> GatewayTopologyStatus {
        let summary = Some(StatusSummary { addresses, ..StatusSummary::default() });
        GatewayTopologyStatus { summary, ..GatewayTopologyStatus::default() }
    }

    /// The topology after `version` writes, with the status of the last one.
    fn stored(version: usize, addresses: i64) -> StoredTopology {
        StoredTopology {
            uid: "a".to_owned(),
            resource_version: version.to_string(),
            generation: 1,
            spec: Ok(GatewayTopologySpec::default()),
            status: status(addresses),
        }
    }

    #[test]
    fn a_new_verdict_is_written_after_it_has_settled() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before(&stored(0, 0), &status(1), now), Some(now + SETTLE));
        let later = now + SETTLE;
        assert_eq!(schedule.not_before(&stored(0, 0), &status(1), later), Some(later));
        assert_eq!(schedule.not_before(&stored(0, 0), &status(2), later), Some(later + SETTLE));
    }

    #[test]
    fn a_write_that_the_watch_has_not_received_is_awaited_and_not_taken_for_another_clients() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before(&stored(0, 0), &status(1), now);
        schedule.note(&stored(0, 0), &status(1), now);
        assert_eq!(schedule.not_before(&stored(0, 0), &status(2), now), None);
        let later = now + SETTLE;
        assert_eq!(schedule.not_before(&stored(1, 1), &status(2), later), Some(later));
    }

    /// A replica whose watches lag would write an older verdict over a newer one.
    #[test]
    fn a_replica_yields_to_a_status_that_is_newer_than_its_verdict_longer_each_time() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before(&stored(0, 0), &status(1), now), Some(now + SETTLE));
        schedule.note(&stored(0, 0), &status(1), now);
        for (version, doubled) in [(2, 1), (4, 2), (6, 4)] {
            now += Duration::from_secs(1);
            let other = stored(version, 10);
            let not_before = schedule.not_before(&other, &status(1), now).unwrap();
            assert_eq!(not_before, now + YIELD * doubled);
            now = not_before;
            assert_eq!(schedule.not_before(&other, &status(1), now), Some(now));
            schedule.note(&other, &status(1), now);
        }
        // Its next verdict is news again.
        assert_eq!(schedule.not_before(&stored(8, 12), &status(2), now), Some(now + SETTLE));
    }

    #[test]
    fn a_verdict_that_others_have_written_is_old_news() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before(&stored(0, 0), &status(1), now);
        schedule.note_agreement(&stored(1, 1), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(schedule.not_before(&stored(2, 2), &status(1), later), Some(later + YIELD));
    }

    #[test]
    fn writes_in_a_row_are_bounded() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let (mut now, mut addresses, mut writes) = (start, 0, 0);
        while now < start + Duration::from_secs(100) {
            let before = stored(writes, addresses);
            addresses += 1;
            // Each verdict is new, and stands until it is written.
            while schedule.not_before(&before, &status(addresses), now).unwrap() > now {
                now = schedule.not_before(&before, &status(addresses), now).unwrap();
            }
            schedule.note(&before, &status(addresses), now);
            writes += 1;
        }
        assert!((10..=16).contains(&writes), "{writes} writes in 100 s");
        schedule.keep_only(&BTreeSet::new());
        assert_eq!(schedule.not_before(&stored(99, 0), &status(1), now), Some(now + SETTLE));
    }
}
