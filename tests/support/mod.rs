//! What the integration tests share.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of it")]

pub mod case;
pub mod control_plane;
