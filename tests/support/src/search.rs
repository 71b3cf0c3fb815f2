//! A search for ways in which an address that reached the gateway with the client's address no longer does, without a refusal
//! and without a report.
//!
//! [`steps`] makes requests at random, [`cluster`] keeps the objects, and [`fate`] decides what becomes of a client's packet.
//! The latter is written from MetalLB's behaviour alone and shares no code with the product, so that both can be compared.

pub mod cluster;
pub mod fate;
pub mod steps;
