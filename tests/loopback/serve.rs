//! `lockstep serve` as a process, over real sockets.

mod bad_input;
mod certificates;
mod life;
mod log;
mod log_level;
mod startup;
mod strangers;
mod tracing;
