//! Tests that need nothing but the built program: no socket, no cluster.

#![allow(unreachable_pub, reason = "a test program exports nothing: `pub` is between its modules")]

mod admission;
mod cases;
mod check;
mod docs;
mod remedies;
mod selectors;
