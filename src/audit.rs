//! The decision log: who requested which change, when, the verdict, the rule, and the snapshot of the verdict.
//!
//! Every line is one JSON object with the hash of the previous line and its own hash, so that changed, removed or
//! moved lines are found ([`verify`]). A review pushes its record to a queue and returns; one thread chains and writes
//! the records ([`DecisionLog`]). If the queue is full, the record is dropped, and the log reports how many were
//! dropped and which.
//!
//! Invariants: a record has a summary, never the object; every text in it is bounded; no verdict waits for the log.

mod chain;
mod decision_log;
mod line;
pub mod query;
mod queue;
mod record;
mod rotating_file;
pub mod verify;

pub use chain::LineHash;
pub use decision_log::DecisionLog;
pub use line::{Content, LINE_LIMIT, Line, LineReader, RawLine, SCHEMA, schema};
pub use record::{Record, RecordedFinding, RecordedSnapshot, RecordedTopology, bounded};
pub use rotating_file::{RotatingFile, Rotation};
