//! The HTTP server of the page, for browsers on this machine.
//!
//! A request passes if its `Host` is this server on loopback, so that a name that another site points at 127.0.0.1 reads
//! nothing; if its `Origin`, which scripts of other pages cannot leave out, is this server, too; and if its path has the token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::Service;

use super::super::page::security_policy;
use super::token::Token;
use super::view::{SCRIPT, View};

/// The most open connections. More wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// The most pages that follow the cluster at once; each holds a connection.
const FOLLOWERS: usize = 32;
/// The time limit for the head of a request, and between two requests.
const IDLE: Duration = Duration::from_secs(10);
/// The interval of comments on a connection without events, by which both sides find out that the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted, such as for a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every request is judged by.
struct Door {
    token: Token,
    /// The values of `Host` that name this server.
    hosts: [String; 3],
    /// The policy of the page, in a header, where it can forbid frames, too.
    policy: HeaderValue,
}

/// The state that the endpoints read.
#[derive(Clone)]
struct Pages {
    views: watch::Receiver<View>,
    followers: Arc<Semaphore>,
}

/// Serves until it is dropped, with every connection.
pub(super) async fn serve(listener: TcpListener, port: u16, token: Token, views: watch::Receiver<View>) {
    let router = router(port, token, views);
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let router = router.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: hyper::Request<Incoming>| router.clone().call(request));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
            // A browser that goes away is no error.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

fn router(port: u16, token: Token, views: watch::Receiver<View>) -> Router {
    let policy = format!("{}; frame-ancestors 'none'", security_policy(Some(SCRIPT)));
    let door = Door {
        token,
        hosts: ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")),
        // It has no characters that a header cannot have.
        policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
    };
    Router::new()
        .route("/{token}/", get(page))
        .route("/{token}/events", get(events))
        .fallback(async || (StatusCode::NOT_FOUND, "no such page\n"))
        .with_state(Pages { views, followers: Arc::new(Semaphore::new(FOLLOWERS)) })
        .layer(from_fn_with_state(Arc::new(door), guard))
}

/// Judges a request before anything else reads it, and adds the headers that every answer has.
async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut response = match door.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, door.policy.clone());
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Door {
    /// The answer to a request that may not pass; `None` if it may.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let token = request.uri().path().split('/').nth(1).unwrap_or_default();
        if !self.is_own_host(request.headers()) {
            let words = "the request is for another host: open the URL that `lockstep dashboard` printed\n";
            Some((StatusCode::FORBIDDEN, words).into_response())
        } else if !self.is_own_origin(request.headers()) {
            Some((StatusCode::FORBIDDEN, "the request comes from another page\n").into_response())
        } else if !self.token.is(token) {
            let words = "the URL lacks its token: open the URL that `lockstep dashboard` printed\n";
            Some((StatusCode::FORBIDDEN, words).into_response())
        } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let words = "the dashboard only shows: use GET or HEAD\n";
            Some((StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], words).into_response())
        } else {
            None
        }
    }

    fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let is_own = host.is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)));
        is_own && hosts.next().is_none()
    }

    fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        headers.get_all(ORIGIN).iter().all(|origin| {
            let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
            host.is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
        })
    }
}

async fn page(State(pages): State<Pages>) -> Response {
    let document = Arc::clone(&pages.views.borrow().document);
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], document.to_string()).into_response()
}

/// The state now, and again at each change. A slow reader misses states, and never the last one.
async fn events(State(pages): State<Pages>) -> Response {
    let Ok(permit) = Arc::clone(&pages.followers).try_acquire_owned() else {
        let words = format!("{FOLLOWERS} pages follow the cluster already: close one\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], words).into_response();
    };
    let mut views = pages.views;
    views.mark_changed();
    let events = stream::unfold((views, permit), async |(mut views, permit)| {
        views.changed().await.ok()?;
        let event = Arc::clone(&views.borrow_and_update().event);
        let event = Event::default().event("state").data(event);
        Some((Ok::<_, Infallible>(event), (views, permit)))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
