//! The HTTPS server over real sockets and real TLS, with timeouts of fractions of a second.

mod admin;
mod client;
mod connections;
mod drain;
mod limits;
mod mutual_tls;
mod protocols;
mod reload;
mod sharing;
mod test_server;
