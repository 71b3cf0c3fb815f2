//! Who may call: mutual TLS.
//!
//! A client CA in a file decides, and optionally the names in the client's certificate. Who has no certificate of
//! it is refused in the handshake, before a byte of a request is read. The file is read again when it changes;
//! what it says and the served pair are swapped as one.

mod file;
mod gate;
mod verifier;

pub use file::{Callers, CallersError};
pub use gate::{Gate, GateError};
