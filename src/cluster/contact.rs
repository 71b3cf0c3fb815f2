//! When a watch last heard from the API server that what it holds is what there is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::service_fn;

/// The last word on one target. Clones are about the same.
#[derive(Debug, Clone)]
pub(super) struct Contact(Arc<watch::Sender<Instant>>);

impl Contact {
    /// Counts from now on: before its first list a target has nothing that could be stale.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Instant::now())))
    }

    pub(super) fn heard(&self) {
        self.0.send_replace(Instant::now());
    }

    /// How long ago that was.
    pub(super) fn age(&self) -> Duration {
        self.0.borrow().elapsed()
    }
}

/// A client that calls `heard` for every piece of an answer to a watch.
///
/// Events alone would not do: a kind that nobody changes has none for days. The API server sends a bookmark
/// about every minute, but kube's watcher keeps bookmarks to itself.
///
/// Only a watch that was granted counts. A list does when it is complete, which its pieces do not tell; and a
/// refusal says nothing about what has changed meanwhile.
pub(super) fn listen(client: Client, heard: impl Fn() + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, heard) = (client.clone(), heard.clone());
        let is_watch = is_watch(&request);
        async move {
            let (parts, body) = client.send(request).await?.into_parts();
            let is_granted = is_watch && parts.status.is_success();
            let heard = move || {
                if is_granted {
                    heard();
                }
            };
            heard();
            let body = body.map_frame(move |frame| {
                heard();
                frame
            });
            Ok::<_, kube::Error>(Response::from_parts(parts, body))
        }
    });
    Client::new(service, namespace)
}

fn is_watch<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "watch=true"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// How often `heard` is called when this is asked, and this status answered with a body of one piece.
    async fn counted(path: &str, status: u16) -> usize {
        let service = service_fn(move |_: Request<Body>| async move {
            let response = Response::builder().status(status);
            Ok::<_, kube::Error>(response.body(Body::from(b"{}".to_vec())).unwrap())
        });
        let count = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&count);
        let client = listen(Client::new(service, "default"), move || {
            heard.fetch_add(1, Ordering::Relaxed);
        });
        let request = Request::get(path).body(Body::from(Vec::new())).unwrap();
        client.send(request).await.unwrap().into_body().collect_bytes().await.unwrap();
        count.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_watch_that_is_granted_is_contact_and_so_is_every_piece_of_it() {
        assert_eq!(counted("/api/v1/nodes?&watch=true&timeoutSeconds=60", 200).await, 2);
    }

    #[tokio::test]
    async fn a_refusal_is_no_contact() {
        assert_eq!(counted("/api/v1/nodes?&watch=true&timeoutSeconds=60", 403).await, 0);
        assert_eq!(counted("/api/v1/nodes?&watch=true&timeoutSeconds=60", 500).await, 0);
    }

    #[tokio::test]
    async fn pieces_of_a_list_are_no_contact() {
        assert_eq!(counted("/api/v1/nodes?&limit=500", 200).await, 0);
    }
}
