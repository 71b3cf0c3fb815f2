//! The pure core of Lockstep: everything that is decided.
//!
//! [`rules`] judge one [`change`] against a [`snapshot`] of the cluster and return a [`verdict`]; [`coverage`] judges whether
//! the cluster's webhook configurations send every request that a [`topology`] depends on. [`election`] replays MetalLB's
//! decision which node announces an address, and [`assessment`] says what follows for each Service of a topology.
//!
//! Invariant: this crate depends on no runtime, Kubernetes client, HTTP server, log or clock, so nothing in it can block,
//! fail for reasons of IO, or answer differently for the same input. The manifest holds it: what is not a dependency
//! cannot be called.

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
pub mod rules;
pub mod snapshot;
pub mod topology;
pub mod verdict;
pub mod what_if;
