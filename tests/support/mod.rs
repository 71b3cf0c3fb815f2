//! What the integration tests share.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "every test binary uses its own part of it")]

pub mod api;
pub mod case;
pub mod control_plane;
pub mod https;
pub mod levels;
pub mod serve;
pub mod wait;
