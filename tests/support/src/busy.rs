//! Threads that keep the processor busy, for faults that occur only on a busy machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Two threads that use all available processor time until this is dropped.
#[derive(Debug)]
pub struct BusyThreads(Arc<AtomicBool>);

impl BusyThreads {
    /// Starts the threads.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let stop = Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Self(stop)
    }
}

impl Drop for BusyThreads {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
