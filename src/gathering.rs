//! Where things wait for one thread, which takes them together.
//!
//! A review must not wait for whoever takes what it leaves behind: a pipe that nobody empties, or a full disk,
//! would hold up the API server. So it puts things down and goes on. The thread lets things gather for a moment
//! before it takes them: to wake it for each one would cost more than the review.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long things gather. Nobody who reads a log notices. What gathers in four times that at full load is larger than
/// a pipe and the core's cache, and costs a twentieth of the reviews.
const GATHER: Duration = Duration::from_millis(5);

/// Things that wait together.
pub(crate) trait Batch: Default {
    /// Whether nothing waits.
    fn is_empty(&self) -> bool;

    /// Moves what waits to `taken`, which is empty.
    fn take(&mut self, taken: &mut Self);
}

impl Batch for Vec<u8> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn take(&mut self, taken: &mut Self) {
        std::mem::swap(self, taken);
    }
}

/// What waits, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Gathering<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting<T> {
    things: T,
    is_closing: bool,
    is_done: bool,
}

impl<T: Batch> Gathering<T> {
    /// Lets `put` add to what waits.
    pub(crate) fn put<R>(&self, put: impl FnOnce(&mut T) -> R) -> R {
        let mut waiting = self.lock();
        let was_empty = waiting.things.is_empty();
        let answer = put(&mut waiting.things);
        let is_first = was_empty && !waiting.things.is_empty();
        drop(waiting);
        if is_first {
            self.changed.notify_all();
        }
        answer
    }

    /// What waits now.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().things)
    }

    /// Waits for things, lets more gather, and takes all of them; whether these may be the last.
    pub(crate) fn gather(&self, taken: &mut T) -> bool {
        let is_idle = |waiting: &mut Waiting<T>| waiting.things.is_empty() && !waiting.is_closing;
        let waiting = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let gathered = self.changed.wait_timeout_while(waiting, GATHER, |waiting| !waiting.is_closing);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        waiting.things.take(taken);
        waiting.is_closing
    }

    /// The thread waits for so long, or until the end; whether that has come.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let paused = self.changed.wait_timeout_while(self.lock(), time, |waiting| !waiting.is_closing);
        paused.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    /// The thread has taken the last things and is about to end.
    pub(crate) fn done(&self) {
        self.lock().is_done = true;
        self.changed.notify_all();
    }

    /// Asks the thread for its end, and waits for it, but not for ever. Whether it came.
    pub(crate) fn finish(&self, within: Duration) -> bool {
        let mut waiting = self.lock();
        waiting.is_closing = true;
        self.changed.notify_all();
        let done = self.changed.wait_timeout_while(waiting, within, |waiting| !waiting.is_done);
        done.unwrap_or_else(PoisonError::into_inner).0.is_done
    }

    /// A thread that panicked with the lock left its thing unfinished, and the others as they were.
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
