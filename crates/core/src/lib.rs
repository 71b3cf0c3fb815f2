//! The pure core of Lockstep: every decision, without IO.
//!
//! [`rules`] judge one [`change`] against a [`snapshot`] of the cluster and return a [`verdict`]; [`coverage`] judges
//! whether the cluster's webhook configurations send every request that a [`topology`] depends on. [`election`]
//! replays MetalLB's decision which node announces an address, and [`assessment`] derives the outcome for each Service
//! of a topology.
//!
//! Invariant: this crate depends on no runtime, Kubernetes client, HTTP server, log or clock, so no code in it can
//! block, fail because of IO, or give different results for the same input. The crate's manifest enforces it.

// No panic path outside tests.
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

pub mod assessment;
pub mod change;
pub mod coverage;
pub mod election;
pub mod escape;
pub mod field;
pub mod labels;
mod node_relation;
pub mod objects;
pub mod operation;
pub mod proposal;
pub mod reach;
pub mod reasons;
pub mod rules;
pub mod snapshot;
pub mod topology;
pub mod verdict;
pub mod what_if;
