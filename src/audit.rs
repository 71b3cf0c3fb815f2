//! The decision log: who tried what, when, what was decided, by which rule, on what facts.
//!
//! Every line is one JSON object. Each carries the hash of the line before it and a hash over itself, so that a
//! line that is changed, missing or out of place is found ([`verify`]). A review puts its record into a queue and
//! goes on; a thread of its own chains and writes ([`DecisionLog`]). What finds the queue full is
//! dropped, and the log itself tells how many records, and which.
//!
//! Invariants: a record holds a summary and never an object, every text in it is bounded, and no verdict waits for
//! the log.

mod chain;
mod line;
mod lines;
mod metrics;
pub mod query;
mod queue;
mod record;
mod rotate;
mod sink;
pub mod verify;

pub use chain::Hash;
pub use line::{Content, Line, SCHEMA, schema};
pub use lines::{Lines, RawLine};
pub use record::{Facts, Finding, Record, Topology, bounded};
pub use rotate::{RotatingFile, Rotation};
pub use sink::DecisionLog;
