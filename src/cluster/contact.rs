//! When a watch last heard from the API server that what it holds is what there is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use futures::{Stream, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
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

/// A client that calls `heard` whenever an answer to a watch shows that all is told that there was to tell: with every
/// whole event, and when the API server ends the watch in good order.
///
/// Events alone would not do: a kind that nobody changes has none for days. The API server sends a bookmark
/// about every minute, but kube's watcher keeps bookmarks to itself.
///
/// That a watch is granted says nothing yet: a version that is too old, as after a restart of the API server, is told by
/// an event of a watch that was granted. Nor does a refusal, or a connection that breaks off. A list counts when it is
/// complete, which its pieces do not tell.
pub(super) fn listen(client: Client, heard: impl Fn() + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, heard) = (client.clone(), heard.clone());
        let is_watch = is_watch(&request);
        async move {
            let response = client.send(request).await?;
            let reading = (is_watch && response.status().is_success()).then(Reading::default);
            Ok::<_, kube::Error>(response.map(|body| StreamBody::new(follow(body, reading, heard))))
        }
    });
    Client::new(service, namespace)
}

/// The pieces of an answer, each counted where it is that of a watch.
fn follow(
    body: Body,
    reading: Option<Reading>,
    heard: impl Fn() + Send,
) -> impl Stream<Item = Result<Frame<Bytes>, kube::Error>> + Send {
    stream::unfold(Some((body, reading, heard)), async |state| {
        let (mut body, mut reading, heard) = state?;
        let piece = body.frame().await;
        let counts = reading.as_mut().is_some_and(|reading| match &piece {
            Some(Ok(piece)) => piece.data_ref().is_some_and(|piece| reading.take(piece)),
            Some(Err(_)) => false,
            None => reading.is_in_order(),
        });
        if counts {
            heard();
        }
        match piece? {
            Ok(piece) => Some((Ok(piece), Some((body, reading, heard)))),
            // Nothing after it counts.
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// How an event begins by which the API server gives a watch up. Within a line there is no line's end: JSON escapes it.
const GIVEN_UP: &[u8] = b"\n{\"type\":\"ERROR\"";

/// How far a watch has been read: its answer is one event a line.
#[derive(Debug)]
struct Reading {
    /// The end of what was read, since a piece may end anywhere.
    last: Vec<u8>,
    is_given_up: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self { last: vec![b'\n'], is_given_up: false }
    }
}

impl Reading {
    /// Takes the next piece in, and says whether events are whole with it and none gives the watch up.
    fn take(&mut self, piece: &[u8]) -> bool {
        self.last.extend_from_slice(piece);
        self.is_given_up |= self.last.windows(GIVEN_UP.len()).any(|window| window == GIVEN_UP);
        self.last.drain(..self.last.len().saturating_sub(GIVEN_UP.len()));
        self.is_in_order()
    }

    /// Whether it could end here.
    fn is_in_order(&self) -> bool {
        !self.is_given_up && self.last.ends_with(b"\n")
    }
}

fn is_watch<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "watch=true"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::Response;

    use super::*;

    const WATCH: &str = "/api/v1/nodes?&watch=true&timeoutSeconds=60";
    const EVENT: &str = "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Node\"}}\n";
    const TOO_OLD: &str = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n";

    /// How often `heard` is called when this is asked, and answered with this status and these pieces. The pieces come
    /// through as they are, and where one is `None` the connection breaks off.
    async fn counted(path: &str, status: u16, pieces: &[Option<&'static str>]) -> usize {
        let sent = pieces.to_vec();
        let service = service_fn(move |_: Request<Body>| {
            let pieces = sent.clone().into_iter().map(|piece| match piece {
                Some(piece) => Ok(Frame::data(Bytes::from(piece))),
                None => Err(std::io::Error::other("broken off")),
            });
            let body = StreamBody::new(stream::iter(pieces));
            async move { Ok::<_, kube::Error>(Response::builder().status(status).body(body).unwrap()) }
        });
        let count = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&count);
        let client = listen(Client::new(service, "default"), move || {
            heard.fetch_add(1, Ordering::Relaxed);
        });
        let request = Request::get(path).body(Body::from(Vec::new())).unwrap();
        let mut body = client.send(request).await.unwrap().into_body();
        for piece in pieces {
            let read = body.frame().await.unwrap().ok().map(|frame| frame.into_data().unwrap());
            assert_eq!(read.as_deref(), piece.map(str::as_bytes));
        }
        assert!(body.frame().await.is_none());
        count.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn every_event_is_contact_and_so_is_the_end_of_a_watch() {
        assert_eq!(counted(WATCH, 200, &[]).await, 1);
        assert_eq!(counted(WATCH, 200, &[Some(EVENT), Some(EVENT)]).await, 3);
    }

    #[tokio::test]
    async fn a_watch_that_the_api_server_gives_up_is_no_contact() {
        assert_eq!(counted(WATCH, 200, &[Some(TOO_OLD)]).await, 0);
        assert_eq!(counted(WATCH, 200, &[Some(EVENT), Some(TOO_OLD)]).await, 1);
        for middle in 1..TOO_OLD.len() {
            let (start, end) = TOO_OLD.split_at(middle);
            assert_eq!(counted(WATCH, 200, &[Some(start), Some(end)]).await, 0, "{start}");
        }
    }

    #[tokio::test]
    async fn half_an_event_is_no_contact_and_neither_is_a_connection_that_breaks_off() {
        let (start, end) = EVENT.split_at(EVENT.len() / 2);
        assert_eq!(counted(WATCH, 200, &[Some(start)]).await, 0);
        assert_eq!(counted(WATCH, 200, &[Some(start), Some(end), None]).await, 1);
    }

    #[tokio::test]
    async fn an_object_that_speaks_of_an_error_is_an_event_like_any_other() {
        let event = "{\"type\":\"ADDED\",\"object\":{\"note\":\"\\n{\\\"type\\\":\\\"ERROR\\\"\"}}\n";
        assert_eq!(counted(WATCH, 200, &[Some(event)]).await, 2);
    }

    #[tokio::test]
    async fn a_refusal_is_no_contact() {
        assert_eq!(counted(WATCH, 403, &[Some(EVENT)]).await, 0);
        assert_eq!(counted(WATCH, 500, &[Some(EVENT)]).await, 0);
    }

    #[tokio::test]
    async fn pieces_of_a_list_are_no_contact() {
        assert_eq!(counted("/api/v1/nodes?&limit=500", 200, &[Some(EVENT)]).await, 0);
    }
}
