//! Key pairs, made ready to serve TLS.
//!
//! Where a pair comes from is one submodule each: [`authority`] for one that a CA of Lockstep's own signs,
//! [`files`] for one that somebody else renews on disk, and [`self_made`] for trying the product out. Whatever the
//! source, it ends in an `Arc<ServerConfig>`, which swaps leaf, chain and key together. [`callers`] adds who may call to it.

mod attempts;
pub mod authority;
pub mod callers;
pub mod files;
mod metrics;
mod pair;
pub mod self_made;

pub(crate) use attempts::Attempts;
pub use metrics::Metrics;
pub use pair::{KeyPair, PairError};
