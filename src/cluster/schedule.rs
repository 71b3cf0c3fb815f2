//! When a status or a report is written: soon after a verdict changes, and seldom otherwise.
//!
//! Replicas reach the same verdict, but not at the same moment, and replicas of different versions may reach different
//! verdicts. Without limits, each would replace what the other has written as fast as the network allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::token_bucket::TokenBucket;

/// The time for which a verdict must stand before it is written: events that belong together arrive within it.
const SETTLE: Duration = Duration::from_millis(300);

/// The time for which content stays that another client wrote after this replica reached its verdict. It doubles each
/// time that the other client writes again.
const YIELD: Duration = Duration::from_secs(60);

/// The maximum of this time.
const LONGEST_YIELD: Duration = Duration::from_secs(3600);

/// The number of writes of one topology in a row without a pause.
const BURST: u32 = 5;

/// The time after which one more write is allowed.
const REFILL: Duration = Duration::from_secs(10);

/// What is written about a topology.
pub(super) trait Content: Clone + PartialEq {
    /// The content without the times that each replica sets by itself.
    fn timeless(&self) -> Self;
}

/// What is stored about a topology.
#[derive(Debug)]
pub(super) struct Stored<'s, C> {
    /// The topology's uid.
    pub(super) uid: &'s str,
    /// The `resourceVersion` of the object with the content; empty if there is none.
    pub(super) version: &'s str,
    pub(super) content: &'s C,
}

impl<C> Clone for Stored<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Stored<'_, C> {}

/// The history of each topology, by its uid.
#[derive(Debug)]
pub(super) struct Schedule<C> {
    histories: BTreeMap<String, History<C>>,
}

impl<C> Default for Schedule<C> {
    fn default() -> Self {
        Self { histories: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct History<C> {
    /// The content that the verdict asks for, without times, and since when.
    wanted: C,
    wanted_since: Instant,
    /// The stored content, without times, and since when, if another client wrote it.
    stored: C,
    replaced_at: Instant,
    /// How often another client replaced the content while the verdict stayed.
    replaced: u32,
    /// The version that this replica has written over, and when. Until the watch has received a newer one, what is stored is not
    /// known.
    overwritten: Option<(String, Instant)>,
    writes: TokenBucket,
}

impl<C: Content> Schedule<C> {
    /// Forgets the topologies that are not among `uids`.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.histories.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Returns the earliest time to write `wanted` over the stored content, which differs; `None` while the watch has not
    /// received the last write of this replica.
    pub(super) fn not_before(&mut self, stored: Stored<'_, C>, wanted: &C, now: Instant) -> Option<Instant> {
        let Stored { uid, version, content } = stored;
        let (wanted, stored) = (wanted.timeless(), content.timeless());
        let history = self.histories.entry(uid.to_owned()).or_insert_with(|| History {
            wanted: wanted.clone(),
            wanted_since: now,
            stored: stored.clone(),
            replaced_at: now,
            replaced: 0,
            overwritten: None,
            writes: TokenBucket::new(BURST, REFILL, now),
        });
        history.want(&wanted, now);
        if history.awaits(version, now) {
            return None;
        }
        history.overwritten = None;
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

    /// Records that `written` was written over the stored content.
    pub(super) fn note(&mut self, stored: Stored<'_, C>, written: &C, now: Instant) {
        if let Some(history) = self.histories.get_mut(stored.uid) {
            history.stored = written.timeless();
            history.overwritten = Some((stored.version.to_owned(), now));
            history.writes.take(now);
        }
    }

    /// Records that the stored content, as the watch has received it, is the wanted one, whoever wrote it.
    pub(super) fn note_agreement(&mut self, stored: Stored<'_, C>, now: Instant) {
        let Stored { version, content, .. } = stored;
        let content = content.timeless();
        if let Some(history) = self.histories.get_mut(stored.uid) {
            history.want(&content, now);
            // An older version than the last write says nothing about that write. If the write were forgotten, its event would look
            // like another client's write.
            if !history.awaits(version, now) {
                history.stored = content;
                history.overwritten = None;
            }
        }
    }
}

impl<C: Content> History<C> {
    /// Records what the verdict asks for.
    fn want(&mut self, wanted: &C, now: Instant) {
        if self.wanted != *wanted {
            (self.wanted, self.wanted_since, self.replaced) = (wanted.clone(), now, 0);
        }
    }

    /// Whether the watch has not received the last write of this replica, which was over this version.
    fn awaits(&self, version: &str, now: Instant) -> bool {
        // An object that was created and deleted at once has no version, as before.
        let is_awaited =
            |(overwritten, at): &(String, Instant)| overwritten == version && now < later(*at, YIELD);
        self.overwritten.as_ref().is_some_and(is_awaited)
    }

    fn yields_for(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.replaced.saturating_sub(1).min(16));
        YIELD.saturating_mul(doubled).min(LONGEST_YIELD)
    }
}

fn later(time: Instant, by: Duration) -> Instant {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{GatewayTopologyStatus, StatusSummary};

    fn status(addresses: i64) -> GatewayTopologyStatus {
        let summary = Some(StatusSummary { addresses, ..StatusSummary::default() });
        GatewayTopologyStatus { summary, ..GatewayTopologyStatus::default() }
    }

    /// The version after so many writes, and the status of the last one.
    fn held(version: usize, addresses: i64) -> (String, GatewayTopologyStatus) {
        (version.to_string(), status(addresses))
    }

    fn stored(held: &(String, GatewayTopologyStatus)) -> Stored<'_, GatewayTopologyStatus> {
        Stored { uid: "a", version: &held.0, content: &held.1 }
    }

    #[test]
    fn a_new_verdict_is_written_after_it_has_settled() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before(stored(&held(0, 0)), &status(1), now), Some(now + SETTLE));
        let later = now + SETTLE;
        assert_eq!(schedule.not_before(stored(&held(0, 0)), &status(1), later), Some(later));
        assert_eq!(schedule.not_before(stored(&held(0, 0)), &status(2), later), Some(later + SETTLE));
    }

    #[test]
    fn a_write_that_the_watch_has_not_received_is_awaited_and_not_taken_for_another_clients() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before(stored(&held(0, 0)), &status(1), now);
        schedule.note(stored(&held(0, 0)), &status(1), now);
        assert_eq!(schedule.not_before(stored(&held(0, 0)), &status(2), now), None);
        let later = now + SETTLE;
        assert_eq!(schedule.not_before(stored(&held(1, 1)), &status(2), later), Some(later));
    }

    #[test]
    fn a_verdict_that_is_as_before_a_write_that_the_watch_has_not_received_is_written_again() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before(stored(&held(0, 0)), &status(1), now);
        schedule.note(stored(&held(0, 0)), &status(1), now);
        schedule.note_agreement(stored(&held(0, 0)), now);
        assert_eq!(schedule.not_before(stored(&held(1, 1)), &status(0), now), Some(now + SETTLE));
    }

    /// A replica whose watches lag would write an older verdict over a newer one.
    #[test]
    fn a_replica_yields_to_a_status_that_is_newer_than_its_verdict_longer_each_time() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.not_before(stored(&held(0, 0)), &status(1), now), Some(now + SETTLE));
        schedule.note(stored(&held(0, 0)), &status(1), now);
        for (version, doubled) in [(2, 1), (4, 2), (6, 4)] {
            now += Duration::from_secs(1);
            let other = held(version, 10);
            let not_before = schedule.not_before(stored(&other), &status(1), now).unwrap();
            assert_eq!(not_before, now + YIELD * doubled);
            now = not_before;
            assert_eq!(schedule.not_before(stored(&other), &status(1), now), Some(now));
            schedule.note(stored(&other), &status(1), now);
        }
        // Its next verdict is news again.
        assert_eq!(schedule.not_before(stored(&held(8, 12)), &status(2), now), Some(now + SETTLE));
    }

    #[test]
    fn a_verdict_that_others_have_written_is_old_news() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.not_before(stored(&held(0, 0)), &status(1), now);
        schedule.note_agreement(stored(&held(1, 1)), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(schedule.not_before(stored(&held(2, 2)), &status(1), later), Some(later + YIELD));
    }

    #[test]
    fn writes_in_a_row_are_bounded() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let (mut now, mut addresses, mut writes) = (start, 0, 0);
        while now < start + Duration::from_secs(100) {
            let before = held(writes, addresses);
            addresses += 1;
            // Each verdict is new, and stands until it is written.
            while schedule.not_before(stored(&before), &status(addresses), now).unwrap() > now {
                now = schedule.not_before(stored(&before), &status(addresses), now).unwrap();
            }
            schedule.note(stored(&before), &status(addresses), now);
            writes += 1;
        }
        assert!((10..=16).contains(&writes), "{writes} writes in 100 s");
        schedule.keep_only(&BTreeSet::new());
        assert_eq!(schedule.not_before(stored(&held(99, 0)), &status(1), now), Some(now + SETTLE));
    }

    /// Somebody deletes what this replica has created.
    #[test]
    fn content_that_was_deleted_is_written_again() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let (none, written) = ((String::new(), status(0)), held(1, 1));
        schedule.not_before(stored(&none), &status(1), start);
        schedule.note(stored(&none), &status(1), start);
        assert_eq!(schedule.not_before(stored(&none), &status(1), start), None);
        schedule.note_agreement(stored(&written), start);
        let later = start + Duration::from_secs(1);
        assert_eq!(schedule.not_before(stored(&none), &status(1), later), Some(later + YIELD));
    }
}
