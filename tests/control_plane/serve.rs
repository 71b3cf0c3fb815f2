//! `lockstep serve` as the webhook of a real API server.

mod cluster;
mod sync;
