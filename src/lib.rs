//! Lockstep keeps an ingress gateway's pods, its Services and MetalLB's announcements in lockstep, so that
//! the client's source IP survives from the network to the gateway and to the audit log.
//!
//! The pure core comes first: [`labels`], [`objects`], [`topology`], [`change`], [`facts`], [`rules`],
//! [`verdict`] and [`guard`] know no clock, no network and no file. Around it, [`manifests`] and [`cluster`] gather facts,
//! [`admission`] speaks the API server's `AdmissionReview`, [`server`] and [`certs`] speak HTTPS,
//! [`webhook`] joins them, [`audit`] keeps what was decided, and [`cli`] is what people type.

// No panic path outside tests, and nothing printed outside `cli`'s own streams.
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

pub mod admission;
pub mod audit;
pub mod certs;
pub mod change;
pub mod cli;
pub mod cluster;
pub mod facts;
pub mod field;
mod gathering;
pub mod guard;
pub mod labels;
pub mod manifests;
pub mod objects;
pub mod rules;
pub mod server;
pub mod telemetry;
mod text;
pub mod topology;
pub mod verdict;
pub mod webhook;
