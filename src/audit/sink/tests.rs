use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;
use crate::audit::verify::{Scope, Verifier};
use crate::audit::{Content, Line};

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// What was written, by a sink that others can look into.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    /// A few bytes at a time: a line may be written in pieces.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(100)];
        self.0.lock().unwrap().extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits to be told, and then writes or fails.
struct Reluctant {
    paper: Paper,
    told: Receiver<io::Result<()>>,
}

impl Write for Reluctant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once nobody tells any more, all goes well.
        self.told.recv().unwrap_or(Ok(()))?;
        self.paper.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn reluctant() -> (SyncSender<io::Result<()>>, Paper, DecisionLog) {
    let (tell, told) = sync_channel(0);
    let paper = Paper::default();
    let log = DecisionLog::start(Reluctant { paper: paper.clone(), told }, "pod", Hash::NONE).unwrap();
    (tell, paper, log)
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
fn what_was_recorded_is_written_in_order_and_the_chain_is_closed() {
    let paper = Paper::default();
    let log = DecisionLog::start(paper.clone(), "pod", Hash::NONE).unwrap();
    for user in ["alice", "bob"] {
        log.record(TIME, &record(user));
    }
    log.finish();
    assert_eq!(verified(&paper), (2, 0));
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Line<'_>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The form writes a line as the chain did, also a time whose digits end in zeros.
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
fn a_sink_that_takes_nothing_holds_nobody_up_and_the_gap_is_told_once_it_does() {
    let (tell, paper, log) = reluctant();
    let user = "x".repeat(1_000_000);
    // One queue is on its way out and goes nowhere; another one fills up behind it.
    for _ in 0..32 {
        log.record(TIME, &record(&user));
    }
    let dropped = log.0.metrics.dropped.get();
    assert!((16..=24).contains(&dropped), "{dropped} of 32 were dropped");
    assert_eq!(log.0.metrics.records.get() + dropped, 32);
    drop(tell);
    log.finish();
    assert_eq!(verified(&paper), (32 - dropped, dropped));
}

#[test]
fn a_write_that_fails_is_repeated_where_it_was_left() {
    let (tell, paper, log) = reluctant();
    log.record(TIME, &record("alice"));
    tell.send(Ok(())).unwrap();
    tell.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    drop(tell);
    // It is tried again after a pause, which the end cuts short, with one last attempt.
    log.finish();
    assert_eq!(log.0.metrics.write_failures.get(), 1);
    assert_eq!(verified(&paper), (1, 0));
}
