//! Liveness of a watch: when the API server last confirmed that everything it had to send was received.
//!
//! # Signs of liveness
//!
//! Objects of a watch are used for a bounded time only (`--stale-after`), counted from the last sign that no change
//! was missed. These are such signs:
//!
//! * **A complete list.** Single pages are not: only the last one's version reflects changes meanwhile.
//! * **An event, including bookmarks.** Events arrive in order, so each confirms all earlier ones. A kind without
//!   changes has no events for days, but the API server sends a bookmark about every minute, and one 2 s before a watch
//!   ends.
//! * **The end of a watch after the requested duration.** It is the only sign if the API server runs without its watch
//!   cache, and so without bookmarks. An earlier end is not a sign: a proxy may have cut an event in two.
//! * **The response that the kind is not served** (404): the kind is known to have no objects.
//!
//! These are not, although bytes arrive:
//!
//! * **An accepted watch request.** If the version is too old, as after a restart of the API server, an event of type
//!   `ERROR` reports it after the watch was accepted.
//! * **An event of type `ERROR`**, and any response that rejects the request.
//! * **A broken connection**, although kube ends the stream of events in the same way as for a watch that the API
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

/// The time at which a watch was last confirmed. Clones share the time.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    last: Arc<Mutex<Instant>>,
    metric: Timestamp,
    #[cfg(test)]
    confirmations: Arc<std::sync::atomic::AtomicUsize>,
}

impl Liveness {
    /// Starts now: before its first list, a watch has no objects that could be stale. `metric` exports the time.
    pub(super) fn new(metric: Timestamp) -> Self {
        metric.set_once();
        Self {
            last: Arc::new(Mutex::new(Instant::now())),
            metric,
            #[cfg(test)]
            confirmations: Arc::default(),
        }
    }

    /// Records that all changes up to now were received.
    pub(super) fn confirm(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metric.set();
        #[cfg(test)]
        self.confirmations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// The number of confirmations.
    #[cfg(test)]
    pub(super) fn confirmations(&self) -> usize {
        self.confirmations.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The time since the last confirmation.
    pub(super) fn age(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Returns a client whose streams end with an error if the connection breaks.
///
/// kube treats an unexpected end of the connection as the end of a watch (`Client::request_events`), which it
/// recognizes by the cause and the text of the error. A watch through a proxy that drops idle connections would look
/// healthy.
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

/// An error without a cause, which kube does not recognize.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the API server broke")]
struct Broken;
