use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;
use crate::audit::queue::RECORD_LIMIT;
use crate::audit::verify::{Scope, Verifier};
use crate::audit::{Content, LINE_LIMIT, Line};

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// A sink in memory.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    /// Accepts a few bytes at a time, so that lines are written in pieces.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(100)];
        self.0.lock().unwrap().extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that writes or fails when the test says so.
struct Gated {
    paper: Paper,
    results: Receiver<io::Result<()>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Every write succeeds after the test has dropped its end.
        self.results.recv().unwrap_or(Ok(()))?;
        self.paper.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated() -> (SyncSender<io::Result<()>>, Paper, DecisionLog) {
    let (gate, results) = sync_channel(0);
    let paper = Paper::default();
    let log = DecisionLog::start(Gated { paper: paper.clone(), results }, "pod", LineHash::NONE).unwrap();
    (gate, paper, log)
}

fn record(user: &str) -> Record<'_> {
    Record { user: user.into(), ..Record::default() }
}

fn verified(paper: &Paper) -> (u64, u64) {
    let bytes = paper.0.lock().unwrap().clone();
    let mut verifier = Verifier::new(Scope::Whole);
    verifier.read("log", &bytes[..]).unwrap();
    let report = verifier.finish();
    assert!(report.is_intact(), "{:?}", report.problems);
    (report.records, report.dropped)
}

#[test]
fn records_are_written_in_order_and_the_chain_is_ended() {
    let paper = Paper::default();
    let log = DecisionLog::start(paper.clone(), "pod", LineHash::NONE).unwrap();
    for user in ["alice", "bob"] {
        log.record(TIME, &record(user));
    }
    log.close();
    assert_eq!(verified(&paper), (2, 0));
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Line<'_>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // A parsed line serializes as the chain wrote it, including a time whose digits end in zeros.
    for (line, written) in lines.iter().zip(text.lines()) {
        assert_eq!(serde_json::to_value(line).unwrap(), serde_json::from_str::<Value>(written).unwrap());
    }
    let users = lines.iter().filter_map(|line| match &line.content {
        Content::Review(record) => Some(&*record.user),
        _ => None,
    });
    assert_eq!(users.collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(lines.last().unwrap().content, Content::Ended(Ended { records: 2, dropped: 0 }));
}

#[test]
fn a_blocked_sink_blocks_no_caller_and_the_log_reports_the_gap() {
    let (gate, paper, log) = gated();
    let user = "x".repeat(1_000_000);
    // The writer is blocked with one batch, so the queue fills up.
    for _ in 0..32 {
        log.record(TIME, &record(&user));
    }
    let dropped = log.0.metrics.dropped.get();
    assert!((16..=24).contains(&dropped), "{dropped} of 32 were dropped");
    assert_eq!(log.0.metrics.records.get() + dropped, 32);
    drop(gate);
    log.close();
    assert_eq!(verified(&paper), (32 - dropped, dropped));
}

#[test]
fn a_failed_write_is_retried_where_it_stopped() {
    let (gate, paper, log) = gated();
    log.record(TIME, &record("alice"));
    gate.send(Ok(())).unwrap();
    gate.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    drop(gate);
    // Closing the log ends the wait for the retry, and the writer makes a last attempt.
    log.close();
    assert_eq!(log.0.metrics.write_failures.get(), 1);
    assert_eq!(verified(&paper), (1, 0));
}

#[test]
fn a_record_longer_than_a_line_may_be_is_dropped_and_the_chain_stays_intact() {
    let paper = Paper::default();
    let replica = "\u{1}".repeat(LINE_LIMIT);
    let log = DecisionLog::start(paper.clone(), &replica, LineHash::NONE).unwrap();
    let mut without_user = Vec::new();
    record("").write(&mut without_user);
    let longest = "x".repeat(RECORD_LIMIT.strict_sub(without_user.len()));
    let too_long = format!("{longest}x");
    for user in [&longest, &too_long, "alice"] {
        log.record(TIME, &record(user));
    }
    assert_eq!((log.0.metrics.records.get(), log.0.metrics.dropped.get()), (2, 1));
    // Large lines take long on a busy machine.
    assert!(log.0.queue.close(Duration::from_secs(60)));
    let longest_line = paper.0.lock().unwrap().split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!((RECORD_LIMIT..=LINE_LIMIT).contains(&longest_line), "{longest_line}");
    assert_eq!(verified(&paper), (2, 1));
}
