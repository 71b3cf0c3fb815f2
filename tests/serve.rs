//! `lockstep serve` as people run it: the real program, over real sockets, and as the webhook of a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod support;

mod serve {
    mod bad_input;
    mod certificates;
    mod cluster;
    mod life;
    mod log;
    mod startup;
    mod sync;
    mod world;
}
