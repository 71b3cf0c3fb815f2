//! The publication of a snapshot.

use k8s_openapi::jiff::Timestamp;

/// The number of a snapshot and the time since which it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The number; the snapshots of a process are numbered from 1.
    pub number: u64,
    /// The time of publication.
    pub time: Timestamp,
}
