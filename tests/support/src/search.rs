//! A search for ways in which an address that reached the gateway with the client's address no longer does, without a refusal
//! and without a report.
//!
//! [`steps`] makes requests at random, [`cluster`] keeps the objects, and [`fate`] decides the end of a client's packet. The latter is
//! written from MetalLB's behaviour alone and shares no code with the product, so that both can be compared.

use std::ops::Range;

use crate::number;

pub mod cluster;
pub mod fate;
pub mod steps;

/// The number of steps of one sequence, which starts in the base state.
pub const LENGTH: usize = 25;

/// The seeds of a search; each makes one sequence. `LOCKSTEP_STEPS` is the number of steps of all sequences, and `LOCKSTEP_SEED` the first
/// seed.
///
/// # Panics
/// If one of them is not a number.
#[must_use]
pub fn seeds(steps: usize) -> Range<usize> {
    let first = number("LOCKSTEP_SEED", 0);
    first..first + number("LOCKSTEP_STEPS", steps).div_ceil(LENGTH)
}
