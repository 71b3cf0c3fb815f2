//! `lockstep serve` as people run it: the real program, over real sockets.

mod bad_input;
mod certificates;
mod life;
mod log;
mod log_level;
mod startup;
