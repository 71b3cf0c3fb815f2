//! The decision log itself: reviews push records to a queue, and one thread chains and writes them.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use lockstep_core::escape::write_json;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use tracing::{error, info, warn};

use super::chain::{Chain, LineHash};
use super::line::{Dropped, Ended, Started};
use super::queue::{DroppedRange, QueuedEntry, RecordQueue};
use super::record::{Record, bounded};
use crate::batch_queue::BatchQueue;

/// The number of bytes that are written at once.
const CHUNK: usize = 256 << 10;
/// The pause of the writer after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The time limit for writing the last lines before the process exits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum size of a buffer that a thread keeps for the next record, in bytes.
const KEPT_BUFFER: usize = 64 << 10;

thread_local! {
    /// The buffer in which a record is serialized before it is pushed, so that the queue is locked only for a copy.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The decision log. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct DecisionLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: BatchQueue<RecordQueue>,
    metrics: AuditMetrics,
}

/// The metrics of the decision log. Clones count together.
#[derive(Debug, Clone, Default)]
struct AuditMetrics {
    records: Counter,
    dropped: Counter,
    write_failures: Counter,
}

impl DecisionLog {
    /// Starts the thread that writes to `out`, with a new chain that continues from the line with the hash `previous`.
    ///
    /// # Errors
    /// If no thread can be started, or the operating system has no random numbers.
    pub fn start(out: impl Write + Send + 'static, replica: &str, previous: LineHash) -> io::Result<Self> {
        let name = random_name()?;
        let replica = bounded::name(replica);
        info!(chain = name, replica = &*replica, previous = %previous, "opened the decision log");
        let log = Self(Arc::default());
        let writer = Writer {
            shared: Arc::clone(&log.0),
            chain: Chain::new(&name, &replica, previous),
            name,
            out,
            lines: Vec::new(),
            sequence: 0,
            totals: Ended::default(),
            is_failing: false,
        };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(log)
    }

    /// Registers the metrics of the decision log.
    pub fn register(&self, registry: &mut Registry) {
        let AuditMetrics { records, dropped, write_failures } = &self.0.metrics;
        registry.register("audit_records", "Records queued for the decision log", records.clone());
        registry.register(
            "audit_records_dropped",
            "Records dropped because the queue of the decision log was full or the record was too long",
            dropped.clone(),
        );
        registry.register(
            "audit_write_failures",
            "Failed attempts to write the decision log; each is retried",
            write_failures.clone(),
        );
    }

    /// Queues the record of a review that was decided at `time`. It never waits: a record is dropped if the queue is
    /// full or the record is too long for a line.
    pub fn record(&self, time: Timestamp, record: &Record<'_>) {
        let is_queued = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.shrink_to(KEPT_BUFFER);
            record.write(buffer);
            self.0.queue.push(|queue| queue.push(time, buffer))
        });
        let AuditMetrics { records, dropped, .. } = &self.0.metrics;
        if is_queued {
            records.inc()
        } else {
            dropped.inc()
        };
    }

    /// Writes all queued records and the line that ends the chain, within 2 s.
    pub fn close(&self) {
        if !self.0.queue.close(CLOSE_TIMEOUT) {
            warn!("exiting before the decision log was written to its end");
        }
    }
}

/// Returns a random name for a chain, which no other start of a process has.
fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the operating system has no random numbers"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// The state of the writing thread.
struct Writer<W> {
    shared: Arc<Shared>,
    chain: Chain,
    name: String,
    out: W,
    /// Lines that are chained but not written yet.
    lines: Vec<u8>,
    /// The sequence number of the last line.
    sequence: u64,
    totals: Ended,
    is_failing: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        self.seal("started", 0, Timestamp::now(), &Started { version: env!("CARGO_PKG_VERSION").into() });
        self.write();
        let mut queue = RecordQueue::default();
        loop {
            let is_closed = self.shared.queue.drain(&mut queue);
            let is_empty = queue.entries().next().is_none();
            for entry in queue.entries() {
                self.append(&entry);
                if self.lines.len() >= CHUNK {
                    self.write();
                }
            }
            queue.clear();
            if is_closed && is_empty {
                break;
            }
            self.write();
        }
        self.end();
        self.shared.queue.finish();
    }

    fn append(&mut self, entry: &QueuedEntry<'_>) {
        match *entry {
            QueuedEntry::Record { sequence, time, record } => {
                self.chain.seal("review", sequence, time, record, &mut self.lines);
                self.sequence = sequence;
                self.totals.records = self.totals.records.saturating_add(1);
            }
            QueuedEntry::Dropped(DroppedRange { first, last, time }) => {
                let count = last.saturating_sub(first).saturating_add(1);
                self.totals.dropped = self.totals.dropped.saturating_add(count);
                self.seal("dropped", last, time, &Dropped { first, count });
                warn!(
                    first,
                    last,
                    count,
                    "dropped records of the decision log: the queue was full or a record was too long"
                );
            }
        }
    }

    fn end(&mut self) {
        let (sequence, totals) = (self.sequence.saturating_add(1), self.totals);
        self.seal("ended", sequence, Timestamp::now(), &totals);
        let is_written = self.write();
        let (Ended { records, dropped }, hash) = (totals, self.chain.hash());
        info!(chain = self.name, records, dropped, hash = %hash, is_written, "closed the decision log");
    }

    fn seal(&mut self, event: &str, sequence: u64, time: Timestamp, content: &impl Serialize) {
        let mut fields = Vec::new();
        // Serializing text and numbers never fails.
        let _ = write_json(content, &mut fields);
        self.chain.seal(event, sequence, time, &fields, &mut self.lines);
        self.sequence = sequence;
    }

    /// Writes all lines, and retries until the queue is closed. A retry continues after the bytes already written, so
    /// that no line is broken. Returns whether everything was written.
    fn write(&mut self) -> bool {
        let mut written = 0_usize;
        while let Some(rest) = self.lines.get(written..).filter(|rest| !rest.is_empty()) {
            let failure = match self.out.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written = written.saturating_add(count);
                    self.report_recovery();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.report_failure(&failure);
            if self.shared.queue.wait_closed(RETRY_AFTER) {
                break;
            }
        }
        let is_written = written >= self.lines.len();
        self.lines.drain(..written.min(self.lines.len()));
        is_written
    }

    /// Counts every failure, and logs the first one of a series.
    fn report_failure(&mut self, failure: &io::Error) {
        self.shared.metrics.write_failures.inc();
        if !self.is_failing {
            error!(error = %failure, "cannot write the decision log; retrying every second");
        }
        self.is_failing = true;
    }

    fn report_recovery(&mut self) {
        if self.is_failing {
            info!("the decision log is written again");
        }
        self.is_failing = false;
    }
}

#[cfg(test)]
mod tests;
