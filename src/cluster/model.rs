//! Models of what the cluster does: all short schedules, and random long ones, of changes and failures of an API server.
//!
//! The code under test is the product's: [`run`](super::run) and [`reconcile_status`](super::reconcile_status) with all below
//! them. Only the API server is a model (`model/api_server.rs`), and the clock is tokio's, which stands still while something runs.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod api_server;
mod snapshots;
mod statuses;

/// Runs a schedule on a clock of its own.
fn on_paused_clock<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}
