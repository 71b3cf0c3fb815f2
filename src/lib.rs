//! Lockstep keeps an ingress gateway's pods, its Services and MetalLB's announcements in lockstep, so that
//! the client's source IP survives from the network to the gateway and to the audit log.
//!
//! The pure core is the crate [`lockstep_core`], re-exported here. This crate is the program around it: [`manifests`] and
//! [`cluster`] read objects into a [`snapshot`], [`admission`] speaks the API server's `AdmissionReview`, [`server`] and
//! [`tls`] speak HTTPS, [`webhook`] joins them, [`audit`] records decisions, [`trace`] exports spans, and [`cli`] is the command line.

// No panic path outside tests, and no output outside `cli`'s own streams.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub use lockstep_core::{
    assessment, change, coverage, election, field, labels, objects, proposal, reach, reasons, rules,
    snapshot, topology, verdict, what_if,
};

pub mod admission;
pub mod audit;
mod batch_queue;
pub mod cli;
pub mod cluster;
mod error;
pub mod manifests;
pub mod server;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod webhook;
