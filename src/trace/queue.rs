//! The queue of spans between reviews and the exporting thread.

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::batch_queue::Batch;

/// The maximum number of spans that wait, which is the default of OpenTelemetry's processors. One takes some kilobytes, as its texts are
/// names that are cut. As many are in the hands of the exporting thread.
const CAPACITY: usize = 2048;

/// Spans that wait to be exported.
#[derive(Debug, Default)]
pub(super) struct SpanQueue {
    pub(super) spans: Vec<Span>,
    /// The number of spans that found the queue full since it was last drained.
    pub(super) dropped: u64,
}

impl SpanQueue {
    /// Queues a span, or drops it if the queue is full. Returns whether it was queued.
    pub(super) fn push(&mut self, span: Span) -> bool {
        let fits = self.spans.len() < CAPACITY;
        if fits {
            self.spans.push(span);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
        fits
    }
}

impl Batch for SpanQueue {
    fn is_empty(&self) -> bool {
        // Dropped spans come after queued ones.
        self.spans.is_empty()
    }

    fn drain_into(&mut self, drained: &mut Self) {
        std::mem::swap(self, drained);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_finds_the_queue_full_is_dropped_and_counted() {
        let (mut queue, mut drained) = (SpanQueue::default(), SpanQueue::default());
        for _ in 0..CAPACITY {
            assert!(queue.push(Span::default()));
        }
        assert!(!queue.push(Span::default()) && !queue.push(Span::default()));
        queue.drain_into(&mut drained);
        assert_eq!((drained.spans.len(), drained.dropped), (CAPACITY, 2));
        assert!(queue.is_empty() && queue.push(Span::default()));
        assert_eq!(queue.dropped, 0);
    }
}
