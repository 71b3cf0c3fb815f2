//! Which snapshot it is that rules look at.

use k8s_openapi::jiff::Timestamp;

/// The snapshot's number and the moment from which it was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The snapshots of a process are numbered from 1.
    pub number: u64,
    /// When it was published.
    pub time: Timestamp,
}
