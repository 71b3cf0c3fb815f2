//! When a watch last heard from the API server.

use axum::http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tower::service_fn;

/// A client that calls `heard` for every piece of an answer.
///
/// Events alone would not do: a kind that nobody changes has none for days. The API server sends a bookmark
/// about every minute, but kube's watcher keeps bookmarks to itself.
pub(super) fn listen(client: Client, heard: impl Fn() + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, heard) = (client.clone(), heard.clone());
        async move {
            let (parts, body) = client.send(request).await?.into_parts();
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
