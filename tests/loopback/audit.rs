//! The decision log: untrusted text in it, its published schema, and sinks that cannot be written.

mod injection;
mod published;
mod sinks;
