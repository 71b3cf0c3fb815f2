//! Records on their way to the thread that writes them. Each takes a number; one that finds no room leaves only
//! its number behind, so that the log can tell what is missing.

use k8s_openapi::jiff::Timestamp;

use crate::batch_queue::Batch;

/// How many bytes of records may wait: some seconds of edits at full load.
const CAPACITY: usize = 8 << 20;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    records: Vec<u8>,
    entries: Vec<Entry>,
    lost: Option<Lost>,
    /// The number that was taken last.
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Record { sequence: u64, time: Timestamp, length: usize },
    Lost(Lost),
}

/// Records that were dropped, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    /// The number of the first.
    pub(super) first: u64,
    /// The number of the last.
    pub(super) last: u64,
    /// When the last was dropped.
    pub(super) time: Timestamp,
}

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<'q> {
    /// A record.
    Record { sequence: u64, time: Timestamp, record: &'q [u8] },
    /// The place of records that were dropped.
    Lost(Lost),
}

impl Queue {
    /// Takes a record, or drops it; whether it was taken.
    pub(super) fn push(&mut self, time: Timestamp, record: &[u8]) -> bool {
        let sequence = self.sequence.saturating_add(1);
        self.sequence = sequence;
        if self.records.len().saturating_add(record.len()) > CAPACITY {
            let first = self.lost.map_or(sequence, |lost| lost.first);
            self.lost = Some(Lost { first, last: sequence, time });
            return false;
        }
        self.entries.extend(self.lost.take().map(Entry::Lost));
        self.entries.push(Entry::Record { sequence, time, length: record.len() });
        self.records.extend_from_slice(record);
        true
    }

    /// Everything, in order.
    pub(super) fn taken(&self) -> impl Iterator<Item = Taken<'_>> {
        let mut rest = self.records.as_slice();
        self.entries.iter().map(move |entry| match *entry {
            Entry::Record { sequence, time, length } => {
                let (record, after) = rest.split_at_checked(length).unwrap_or_default();
                rest = after;
                Taken::Record { sequence, time, record }
            }
            Entry::Lost(lost) => Taken::Lost(lost),
        })
    }

    /// Forgets what was taken, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.entries.clear();
    }
}

impl Batch for Queue {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost.is_none()
    }

    fn drain_into(&mut self, drained: &mut Self) {
        self.entries.extend(self.lost.take().map(Entry::Lost));
        std::mem::swap(&mut self.records, &mut drained.records);
        std::mem::swap(&mut self.entries, &mut drained.entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp::UNIX_EPOCH;

    fn numbers(queue: &Queue) -> Vec<(u64, u64)> {
        let span = |taken| match taken {
            Taken::Record { sequence, record, .. } => {
                assert!(!record.is_empty());
                (sequence, sequence)
            }
            Taken::Lost(Lost { first, last, .. }) => (first, last),
        };
        queue.taken().map(span).collect()
    }

    #[test]
    fn every_number_is_accounted_for_in_order() {
        let (mut queue, mut taken) = (Queue::default(), Queue::default());
        let (half, small) = (vec![b'x'; CAPACITY / 2], [b'y'; 1]);
        assert!(queue.push(TIME, &half));
        assert!(queue.push(TIME, &half));
        assert!(!queue.push(TIME, &small));
        assert!(!queue.push(TIME, &half));
        queue.drain_into(&mut taken);
        assert_eq!(numbers(&taken), [(1, 1), (2, 2), (3, 4)]);
        taken.clear();
        assert!(queue.is_empty());

        assert!(queue.push(TIME, &half));
        assert!(queue.push(TIME, &small));
        assert!(!queue.push(TIME, &half));
        // A smaller one may find room where a larger one did not: what was lost comes before it.
        assert!(queue.push(TIME, &small));
        assert!(!queue.push(TIME, &half));
        queue.drain_into(&mut taken);
        assert_eq!(numbers(&taken), [(5, 5), (6, 6), (7, 7), (8, 8), (9, 9)]);
    }

    #[test]
    fn what_was_lost_alone_is_worth_taking() {
        let mut queue = Queue::default();
        assert!(queue.is_empty());
        assert!(!queue.push(TIME, &vec![b'x'; CAPACITY + 1]));
        assert!(!queue.is_empty());
    }
}
