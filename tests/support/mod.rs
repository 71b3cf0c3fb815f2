//! What the integration tests share.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every program uses its own part of what is shared"
)]

pub mod api;
pub mod balancer;
pub mod case;
pub mod control_plane;
pub mod findings;
pub mod held;
pub mod https;
pub mod levels;
pub mod load;
pub mod replica;
pub mod serve;
pub mod wait;
