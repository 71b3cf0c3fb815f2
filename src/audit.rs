//! The decision log: who requested which change, when, the verdict, the rule, and the snapshot it was judged by.
//!
//! Every line is one JSON object with the hash of the previous line and a hash of itself, so that a line that was changed,
//! removed or moved is found ([`verify`]). A review pushes its record to a queue and returns; one thread chains and writes
//! ([`DecisionLog`]). A record that finds the queue full is dropped, and the log says how many were dropped and which.
//!
//! Invariants: a record holds a summary and never the object, every text in it is bounded, and no verdict waits for the log.

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
