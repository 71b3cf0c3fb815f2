//! The decision log: what it says, against what the API server says; what strangers write into it; and sinks that
//! take nothing.

#![allow(dead_code, unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

#[path = "audit/agreement.rs"]
mod agreement;
#[path = "audit/injection.rs"]
mod injection;
#[path = "audit/log.rs"]
mod log;
#[path = "audit/published.rs"]
mod published;
#[path = "audit/sinks.rs"]
mod sinks;
#[path = "serve/world.rs"]
mod world;
