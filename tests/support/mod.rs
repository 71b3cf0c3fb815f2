//! What the integration tests share.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "every test binary uses its own part of it, and a test fails by panicking"
)]

pub mod api;
pub mod case;
pub mod control_plane;
pub mod https;
pub mod levels;
pub mod serve;
pub mod wait;
