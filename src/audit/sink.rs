//! The decision log's way out: a queue, and a thread that chains what is in it and writes it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::registry::Registry;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use tracing::{error, info, warn};

use super::chain::{Chain, Hash};
use super::line::{Dropped, Ended, Started};
use super::metrics::Metrics;
use super::queue::{Lost, Queue, Taken};
use super::record::Record;
use crate::batch_queue::BatchQueue;
use lockstep_core::escape::write_json;

/// How many bytes of lines are written at once.
const CHUNK: usize = 256 << 10;
/// How long a sink that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last lines to be taken.
const FAREWELL: Duration = Duration::from_secs(2);
/// A buffer for a record that is larger is not kept.
const KEPT: usize = 64 << 10;

thread_local! {
    /// Where a record is written before it is put into the queue, which others wait for.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The decision log. Clones write to the same one.
#[derive(Debug, Clone)]
pub struct DecisionLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: BatchQueue<Queue>,
    metrics: Metrics,
}

impl DecisionLog {
    /// Starts the thread that writes to `out`, with a chain of its own that goes on from the line `previous`.
    ///
    /// # Errors
    /// If no thread can be started, or the system has no random numbers.
    pub fn start(out: impl Write + Send + 'static, replica: &str, previous: Hash) -> io::Result<Self> {
        let name = random_name()?;
        info!(chain = name, replica, previous = %previous, "the decision log begins");
        let log = Self(Arc::default());
        let writer = Writer {
            shared: Arc::clone(&log.0),
            chain: Chain::new(&name, replica, previous),
            name,
            out,
            lines: Vec::new(),
            sequence: 0,
            told: Ended { records: 0, dropped: 0 },
            is_failing: false,
        };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(log)
    }

    /// Counts records, drops and failures.
    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Records what was decided at `time`. It never waits: a record that finds the queue full is dropped.
    pub fn record(&self, time: Timestamp, record: &Record<'_>) {
        let is_taken = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.shrink_to(KEPT);
            record.write(buffer);
            self.0.queue.push(|queue| queue.push(time, buffer))
        });
        let Metrics { records, dropped, .. } = &self.0.metrics;
        if is_taken {
            records.inc()
        } else {
            dropped.inc()
        };
    }

    /// Waits until everything is written, and the line that says so; but not for ever.
    pub fn finish(&self) {
        if !self.0.queue.close(FAREWELL) {
            warn!("the decision log could not be written to its end");
        }
    }
}

/// Two starts of a process, or two processes, never have the same.
fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

struct Writer<W> {
    shared: Arc<Shared>,
    chain: Chain,
    name: String,
    out: W,
    /// Sealed, and not written yet.
    lines: Vec<u8>,
    /// Of the last line.
    sequence: u64,
    told: Ended,
    is_failing: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        self.seal("started", 0, Timestamp::now(), &Started { version: env!("CARGO_PKG_VERSION").into() });
        self.write();
        let mut queue = Queue::default();
        loop {
            let is_closing = self.shared.queue.drain(&mut queue);
            let is_empty = queue.taken().next().is_none();
            for taken in queue.taken() {
                self.take(&taken);
                if self.lines.len() >= CHUNK {
                    self.write();
                }
            }
            queue.clear();
            if is_closing && is_empty {
                break;
            }
            self.write();
        }
        let (sequence, ended) = (self.sequence.saturating_add(1), self.told);
        self.seal("ended", sequence, Timestamp::now(), &ended);
        let is_written = self.write();
        let Ended { records, dropped } = self.told;
        let hash = self.chain.hash();
        info!(chain = self.name, records, dropped, hash = %hash, is_written, "the decision log ends");
        self.shared.queue.finish();
    }

    fn take(&mut self, taken: &Taken<'_>) {
        match *taken {
            Taken::Record { sequence, time, record } => {
                self.chain.seal("review", sequence, time, record, &mut self.lines);
                self.sequence = sequence;
                self.told.records = self.told.records.saturating_add(1);
            }
            Taken::Lost(Lost { first, last, time }) => {
                let count = last.saturating_sub(first).saturating_add(1);
                self.told.dropped = self.told.dropped.saturating_add(count);
                self.seal("dropped", last, time, &Dropped { first, count });
                warn!(
                    first,
                    last, count, "records of the decision log were dropped: it is not taken fast enough"
                );
            }
        }
    }

    fn seal(&mut self, event: &str, sequence: u64, time: Timestamp, content: &impl Serialize) {
        let mut record = Vec::new();
        // Texts and numbers always serialise.
        let _ = write_json(content, &mut record);
        self.chain.seal(event, sequence, time, &record, &mut self.lines);
        self.sequence = sequence;
    }

    /// Writes every line, however long it takes; only the end of the process gives up. What was written in part is
    /// gone on with where it was left, so that no line is ever broken. Whether all was written.
    fn write(&mut self) -> bool {
        let mut written = 0_usize;
        while let Some(rest) = self.lines.get(written..).filter(|rest| !rest.is_empty()) {
            let failure = match self.out.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written = written.saturating_add(count);
                    self.tell_recovery();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.tell_failure(&failure);
            if self.shared.queue.wait_closed(PAUSE) {
                break;
            }
        }
        let is_written = written >= self.lines.len();
        self.lines.drain(..written.min(self.lines.len()));
        is_written
    }

    fn tell_failure(&mut self, failure: &io::Error) {
        self.shared.metrics.write_failures.inc();
        if !self.is_failing {
            error!(error = %failure, "the decision log cannot be written; it is tried again every second");
        }
        self.is_failing = true;
    }

    fn tell_recovery(&mut self) {
        if self.is_failing {
            info!("the decision log can be written again");
        }
        self.is_failing = false;
    }
}

#[cfg(test)]
mod tests;
