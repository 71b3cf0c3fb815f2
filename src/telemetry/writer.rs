//! The log's queue and its writing thread. If the queue is full, the line is dropped and counted, so that no caller
//! waits for a slow standard error.
//!
//! `tracing-appender` is not used: it bounds its queue by lines instead of bytes, and does not count lines that could not
//! be written.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::batch_queue::BatchQueue;

/// The size of the queue in bytes: the denials of some seconds at full load.
pub(super) const CAPACITY: usize = 8 << 20;
/// The time limit for writing the last lines before the process exits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The writer of log lines. Clones share one queue.
#[derive(Debug, Clone, Default)]
pub(super) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: BatchQueue<Vec<u8>>,
    dropped: AtomicU64,
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self::default();
        let shared = Arc::clone(&writer.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all(out))?;
        Ok(writer)
    }

    /// The number of lines that were dropped or could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// The number of bytes in the queue, at most [`CAPACITY`].
    pub(super) fn queued(&self) -> usize {
        self.0.lines.peek(Vec::len)
    }

    /// Flushes the queue within 2 s.
    pub(super) fn finish(&self) {
        self.0.lines.close(FLUSH_TIMEOUT);
    }
}

impl Shared {
    fn write_all(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let is_closing = self.lines.drain(&mut lines);
            if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                self.count_dropped(&lines);
            }
            if is_closing && lines.is_empty() {
                break;
            }
            lines.clear();
        }
        self.lines.finish();
    }

    /// Counts lines that could not be written, because the log cannot report that itself. Some of them may have been
    /// written, so the count is an upper bound.
    fn count_dropped(&self, lines: &[u8]) {
        let lost = lines.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Write for LogWriter {
    /// Queues a whole line or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_queued = self.0.lines.push(|lines| {
            let has_room = lines.len().saturating_add(line.len()) <= CAPACITY;
            if has_room {
                lines.extend_from_slice(line);
            }
            has_room
        });
        if !is_queued {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A sink that writes only when the test lets it.
    struct Gated {
        go: Receiver<()>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn queued_lines_are_written_in_order_before_exit() {
        let (sender, written) = sync_channel(16);
        let (go, gone) = sync_channel(16);
        let mut log = LogWriter::start(Gated { go: gone, written: sender }).unwrap();
        for _ in 0..16 {
            go.send(()).unwrap();
        }
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        log.finish();
        assert_eq!(written.try_iter().collect::<Vec<_>>().concat(), b"one\ntwo\n");
        assert_eq!(log.dropped(), 0);
    }

    /// A sink that always fails, as on a full disk, or as a pipe without a reader.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_count_as_dropped() {
        let mut log = LogWriter::start(Broken).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        log.finish();
        assert_eq!((log.dropped(), log.queued()), (2, 0));
    }

    #[test]
    fn a_log_that_is_not_read_blocks_no_caller_and_counts_dropped_lines() {
        let (sender, _written) = sync_channel(16);
        let (go, gone) = sync_channel::<()>(0);
        let mut log = LogWriter::start(Gated { go: gone, written: sender }).unwrap();
        let line = vec![b'x'; 1 << 20];
        // The writer is blocked with one batch, so the queue fills up.
        for _ in 0..32 {
            log.write_all(&line).unwrap();
        }
        assert!((16..=24).contains(&log.dropped()), "{} of 32 were dropped", log.dropped());
        drop(go);
    }
}
