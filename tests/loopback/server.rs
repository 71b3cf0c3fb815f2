//! The HTTPS server as its clients meet it: real sockets, real TLS, deadlines cut to fractions of a second.

mod admin;
mod bodies;
mod callers;
mod client;
mod connections;
mod drain;
mod load;
mod protocols;
mod reload;
mod rig;
