//! Liveness of a watch: when the API server last confirmed that everything it had to send was received.
//!
//! # What counts, and why
//!
//! Objects that a watch has received are used for a bounded time only (`--stale-after`), counted from the last sign that
//! nothing was missed. These are such signs:
//!
//! * **A complete list.** Single pages are not: what changed meanwhile shows only in the last one's version.
//! * **An event, bookmarks included.** Events arrive in order, so each confirms all before it. A kind that nobody changes
//!   has no events for days, but the API server sends a bookmark about every minute, and one 2 s before a watch ends.
//! * **The end of a watch that lasted as long as was asked for.** It is the only sign where the API server runs without
//!   its watch cache, and so without bookmarks. An earlier end is none: a proxy may have cut an event in two.
//! * **The answer that the kind is not served** (404): there are no objects, and that is known.
//!
//! These are none, although bytes arrive:
//!
//! * **That a watch was granted.** A version that is too old, as after a restart of the API server, is reported by an
//!   event of type `ERROR` in a watch that was granted.
//! * **An event of type `ERROR`**, and any answer that refuses.
//! * **A connection that breaks**, even though kube ends the stream of events in the same way as for a watch that the API
//!   server ended: see [`with_broken_connections`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;
use tower::service_fn;

use super::metrics::Timestamp;

/// When a watch was last confirmed. Clones share the time.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    last: Arc<Mutex<Instant>>,
    metric: Timestamp,
    #[cfg(test)]
    confirmations: Arc<std::sync::atomic::AtomicUsize>,
}

impl Liveness {
    /// Starts now: before its first list a watch has nothing that could be stale. `metric` shows the time to people.
    pub(super) fn new(metric: Timestamp) -> Self {
        metric.set_once();
        Self {
            last: Arc::new(Mutex::new(Instant::now())),
            metric,
            #[cfg(test)]
            confirmations: Arc::default(),
        }
    }

    /// Notes that everything up to now was received.
    pub(super) fn confirm(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metric.set();
        #[cfg(test)]
        self.confirmations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// How often the watch was confirmed.
    #[cfg(test)]
    pub(super) fn confirmations(&self) -> usize {
        self.confirmations.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The time since the last confirmation.
    pub(super) fn age(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// A client whose streams end with an error where the connection breaks.
///
/// kube takes an unexpected end of the connection for the end of a watch (`Client::request_events`), recognized by the
/// cause and the text of the error. A proxy that drops an idle connection would then look like a healthy watch.
pub(super) fn with_broken_connections(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let response = client.send(request).await?;
            Ok::<_, kube::Error>(response.map(|body| body.map_err(|_| Broken)))
        }
    });
    Client::new(service, namespace)
}

/// An error without a cause, so that nothing recognizes it.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the API server broke")]
struct Broken;
