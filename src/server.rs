//! The HTTPS server: sockets, TLS, limits, routes, and an orderly end.
//!
//! [`Config`] is what the caller wants, [`Bound`] has its ports, and [`Bound::run`] serves until it is told
//! to stop. All that can be wrong with a configuration is found before the first connection is accepted.
//!
//! Invariant: this module knows calls and replies as bytes. It knows no Kubernetes kind and no rule; what
//! a call means is the [`Handler`]'s business.
//!
//! One connection, start to end: a permit is taken before the connection is accepted, so that strangers
//! wait in the kernel and not in this process; the TLS handshake has its deadline in the connection's own
//! task; ALPN picks HTTP/1.1 or HTTP/2. One request: route, content type, a slot, the body (capped in bytes,
//! in time and in what all bodies together may hold), the handler, the answer. Who is turned away because
//! of load gets `503` with `Retry-After`, which the API server repeats within the webhook's timeout; any
//! other answer would fail the user's request.

mod accept;
mod admin;
mod answer;
mod body;
mod budget;
mod call;
mod config;
mod connection;
mod limits;
mod metrics;
mod refusal;
mod reviews;
mod run;
mod stage;
mod webhook;

pub use admin::Admin;
pub use call::{Call, ContentType, Handler, Reply, StatusCode};
pub use config::{BindError, Bound, Config};
pub use limits::{Limits, LimitsError};
pub use metrics::Metrics;
pub use run::{Listener, RunError, Shutdown};
