//! The queue of records between reviews and the writing thread. Each record takes a sequence number, and so does a
//! dropped record, so that the log reports which are missing.

use k8s_openapi::jiff::Timestamp;

use super::line::LINE_LIMIT;
use crate::batch_queue::Batch;

/// The size of the queue in bytes: the edits of some seconds at full load.
const CAPACITY: usize = 8 << 20;

/// The maximum length of a record, in bytes. It leaves room in a line for the fields that [`super::chain`] adds, which
/// are shorter than 4 KiB because a replica's name is cut to 512 bytes.
pub(super) const RECORD_LIMIT: usize = LINE_LIMIT - (4 << 10);

/// Records that wait to be written.
#[derive(Debug, Default)]
pub(super) struct RecordQueue {
    records: Vec<u8>,
    entries: Vec<Entry>,
    /// The records dropped since the last entry.
    dropped: Option<DroppedRange>,
    /// The last sequence number.
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Record { sequence: u64, time: Timestamp, length: usize },
    Dropped(DroppedRange),
}

/// Consecutive records that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DroppedRange {
    /// The sequence number of the first.
    pub(super) first: u64,
    /// The sequence number of the last.
    pub(super) last: u64,
    /// The time at which the last one was dropped.
    pub(super) time: Timestamp,
}

/// An entry of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueuedEntry<'q> {
    /// A record.
    Record { sequence: u64, time: Timestamp, record: &'q [u8] },
    /// The place of dropped records.
    Dropped(DroppedRange),
}

impl RecordQueue {
    /// Queues a record, or drops it if it does not fit. Returns whether it was queued.
    pub(super) fn push(&mut self, time: Timestamp, record: &[u8]) -> bool {
        let sequence = self.sequence.saturating_add(1);
        self.sequence = sequence;
        if record.len() > RECORD_LIMIT || self.records.len().saturating_add(record.len()) > CAPACITY {
            let first = self.dropped.map_or(sequence, |dropped| dropped.first);
            self.dropped = Some(DroppedRange { first, last: sequence, time });
            return false;
        }
        self.entries.extend(self.dropped.take().map(Entry::Dropped));
        self.entries.push(Entry::Record { sequence, time, length: record.len() });
        self.records.extend_from_slice(record);
        true
    }

    /// Returns the drained entries, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = QueuedEntry<'_>> {
        let mut rest = self.records.as_slice();
        self.entries.iter().map(move |entry| match *entry {
            Entry::Record { sequence, time, length } => {
                let (record, after) = rest.split_at_checked(length).unwrap_or_default();
                rest = after;
                QueuedEntry::Record { sequence, time, record }
            }
            Entry::Dropped(range) => QueuedEntry::Dropped(range),
        })
    }

    /// Removes the drained entries and keeps the allocated memory.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.entries.clear();
    }
}

impl Batch for RecordQueue {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dropped.is_none()
    }

    fn drain_into(&mut self, drained: &mut Self) {
        self.entries.extend(self.dropped.take().map(Entry::Dropped));
        std::mem::swap(&mut self.records, &mut drained.records);
        std::mem::swap(&mut self.entries, &mut drained.entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp::UNIX_EPOCH;

    fn sequences(queue: &RecordQueue) -> Vec<(u64, u64)> {
        let range = |entry| match entry {
            QueuedEntry::Record { sequence, record, .. } => {
                assert!(!record.is_empty());
                (sequence, sequence)
            }
            QueuedEntry::Dropped(DroppedRange { first, last, .. }) => (first, last),
        };
        queue.entries().map(range).collect()
    }

    #[test]
    fn every_sequence_number_is_accounted_for_in_order() {
        let (mut queue, mut drained) = (RecordQueue::default(), RecordQueue::default());
        let (third, small) = (vec![b'x'; CAPACITY / 3], [b'y'; 3]);
        for _ in 0..3 {
            assert!(queue.push(TIME, &third));
        }
        assert!(!queue.push(TIME, &small));
        assert!(!queue.push(TIME, &third));
        queue.drain_into(&mut drained);
        assert_eq!(sequences(&drained), [(1, 1), (2, 2), (3, 3), (4, 5)]);
        drained.clear();
        assert!(queue.is_empty());

        for _ in 0..2 {
            assert!(queue.push(TIME, &third));
        }
        assert!(queue.push(TIME, &small));
        assert!(!queue.push(TIME, &third));
        // A smaller record may fit after a larger one was dropped. The dropped one comes first in the log.
        assert!(queue.push(TIME, &small));
        assert!(!queue.push(TIME, &third));
        queue.drain_into(&mut drained);
        assert_eq!(sequences(&drained), [(6, 6), (7, 7), (8, 8), (9, 9), (10, 10), (11, 11)]);
    }

    #[test]
    fn dropped_records_are_drained_without_others() {
        let mut queue = RecordQueue::default();
        assert!(queue.is_empty());
        assert!(!queue.push(TIME, &vec![b'x'; RECORD_LIMIT + 1]));
        assert!(!queue.is_empty());
        assert!(queue.push(TIME, &vec![b'x'; RECORD_LIMIT]));
    }
}
