//! A queue that many threads push to without waiting, and that one thread drains in batches.
//!
//! A review must not wait for a full disk or for a pipe that is not read, so it pushes its record and returns. The
//! consumer waits a moment before it drains, because waking it for each record would cost more than the review.
//!
//! No channel fits: `std::sync::mpsc`, `crossbeam-channel` and `tracing-appender` bound a queue by items instead of
//! bytes, allocate for each item, and number items outside their own lock, so that records could be queued in another
//! order than their sequence numbers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time for which the consumer collects before it drains. With four times this, the lines of a replica at full
/// load no longer fit into a pipe and the core's cache, which costs a twentieth of the reviews.
const COLLECT: Duration = Duration::from_millis(5);

/// The content of a queue. It limits itself: the queue never rejects.
pub(crate) trait Batch: Default {
    /// Whether there is nothing to drain.
    fn is_empty(&self) -> bool;

    /// Moves everything to `drained`, which is empty.
    fn drain_into(&mut self, drained: &mut Self);
}

impl Batch for Vec<u8> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn drain_into(&mut self, drained: &mut Self) {
        std::mem::swap(self, drained);
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct BatchQueue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State<T> {
    batch: T,
    is_closed: bool,
    is_finished: bool,
}

impl<T: Batch> BatchQueue<T> {
    /// Calls `push` with the batch, and returns its result.
    pub(crate) fn push<R>(&self, push: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let was_empty = state.batch.is_empty();
        let answer = push(&mut state.batch);
        let is_first = was_empty && !state.batch.is_empty();
        drop(state);
        if is_first {
            self.changed.notify_all();
        }
        answer
    }

    /// Calls `peek` with the batch, without draining it.
    pub(crate) fn peek<R>(&self, peek: impl FnOnce(&T) -> R) -> R {
        peek(&self.lock().batch)
    }

    /// Waits until something is pushed or the queue is closed, waits a moment more, and drains into `drained`, which
    /// must be empty. Returns whether the queue is closed: an empty batch is the last one then.
    pub(crate) fn drain(&self, drained: &mut T) -> bool {
        let is_idle = |state: &mut State<T>| state.batch.is_empty() && !state.is_closed;
        let state = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let collected = self.changed.wait_timeout_while(state, COLLECT, |state| !state.is_closed);
        let (mut state, _) = collected.unwrap_or_else(PoisonError::into_inner);
        state.batch.drain_into(drained);
        state.is_closed
    }

    /// Blocks the consumer until the queue is closed or `timeout` is over. Returns whether the queue is closed.
    pub(crate) fn wait_closed(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !state.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Reports that the consumer has drained the last batch and stops. [`close`](Self::close) waits for this.
    pub(crate) fn finish(&self) {
        self.lock().is_finished = true;
        self.changed.notify_all();
    }

    /// Closes the queue and waits at most `timeout` for the consumer to finish. Returns whether it finished.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.is_closed = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !state.is_finished);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_finished
    }

    /// Locks the state. A thread that panicked with the lock left at most its own push incomplete.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
