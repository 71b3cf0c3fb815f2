//! A certificate authority of Lockstep's own, which every replica signs its leaf with.
//!
//! [`Authority`] is what stands in the Secret: the CA of the moment, and during a rotation the next one or the
//! one before. [`decide`] says what to do next, from what is stored and seen alone. Nothing here does IO: who
//! reads, decides and writes by compare-and-swap needs no leader, however many do so at once.
//!
//! Clients trust every CA that stands in the Secret. A new CA is trusted before the first leaf of it is
//! served, and an old one until the last leaf of it is gone.

mod ca;
mod leaf;
mod lifetimes;
mod moment;
mod state;
mod step;

pub use ca::{Ca, CaCertificate, CaError};
pub use leaf::{Leaf, LeafError, NameError};
pub use lifetimes::{Lifetimes, LifetimesError};
pub use moment::{Moment, now};
pub use state::{Authority, AuthorityError, Next, Old};
pub use step::{Decision, Step, View, decide};
