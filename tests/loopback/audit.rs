//! The decision log: what strangers write into it, its published schema, and sinks that take nothing.

mod injection;
mod published;
mod sinks;
