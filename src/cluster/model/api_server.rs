//! An API server of the model: objects with versions, lists in pages, watches that resume, bookmarks, compaction, conflicts, and
//! everything that goes wrong.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::http::{Method, Request, Response};
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tower::service_fn;

use super::super::READ_TIMEOUT;

/// The objects of one page. The product asks for more, and a server may return fewer.
const PAGE: usize = 2;

/// A namespace and a name.
pub(super) type Key = (String, String);

/// The objects of a kind.
pub(super) type Objects = BTreeMap<Key, Value>;

/// The treatment of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Answers,
    /// Every request gets this status.
    Refuses(u16),
    /// No request is answered, and no open watch receives anything any more.
    Hangs,
    /// Writes are carried out, and their answers are lost.
    LosesAnswers,
}

/// A bug of the server, to see that the checks notice what a lost event does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// A watch from a version that is too old starts at the present, without an error.
    ForgetsExpiry,
    /// Deletions are not sent.
    ForgetsDeletions,
}

#[derive(Debug, Default)]
struct Kind {
    /// The objects since each version.
    history: BTreeMap<u64, Objects>,
    is_missing: bool,
}

#[derive(Debug)]
struct Watcher {
    scope: Scope,
    /// Whether nothing more arrives, not even the end.
    is_silent: Arc<AtomicBool>,
    events: mpsc::UnboundedSender<Sent>,
}

/// An event of a watch, and when it arrives.
type Sent = (Instant, Result<String, io::Error>);

/// The objects of a request.
#[derive(Debug, Clone, Default)]
struct Scope {
    /// The path without namespace and name, such as `/api/v1/nodes`.
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    labels: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    compacted: u64,
    kinds: BTreeMap<String, Kind>,
    watchers: Vec<Watcher>,
    mode: Mode,
    /// The time until an event arrives.
    delay: Duration,
    fault: Fault,
    writes: Vec<(Instant, Key, Value)>,
}

/// The server. Clones share its state.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

impl ApiServer {
    pub(super) fn with_fault(fault: Fault) -> Self {
        let server = Self::default();
        server.state().fault = fault;
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A client of this server.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let answer = server.answer(request).await;
                let Some((status, body)) = answer else {
                    // As the product's client does: `cluster::client` sets this limit.
                    sleep(READ_TIMEOUT).await;
                    return Err(kube::Error::Service("timed out".into()));
                };
                let frames = body.map(|text| text.map(|text| Frame::data(Bytes::from(text))));
                Ok::<_, kube::Error>(
                    Response::builder().status(status).body(StreamBody::new(frames)).unwrap(),
                )
            }
        });
        Client::new(service, "default")
    }

    /// Creates, changes or deletes an object, as another client does.
    pub(super) fn put(&self, resource: &str, key: (&str, &str), object: Option<Value>) {
        let key = (key.0.to_owned(), key.1.to_owned());
        self.state().put(resource, key, object);
    }

    pub(super) fn get(&self, resource: &str, key: (&str, &str)) -> Option<Value> {
        self.state().objects(resource).get(&(key.0.to_owned(), key.1.to_owned())).cloned()
    }

    /// Removes a kind with all of its objects, or installs it.
    pub(super) fn serve(&self, resource: &str, is_served: bool) {
        let mut state = self.state();
        let version = state.next_version();
        let kind = state.kinds.entry(resource.to_owned()).or_default();
        kind.is_missing = !is_served;
        kind.history.insert(version, Objects::new());
        state.watchers.retain(|watcher| watcher.scope.resource != resource);
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        let mut state = self.state();
        if mode == Mode::Hangs {
            state.watchers.drain(..).for_each(|watcher| watcher.is_silent.store(true, Ordering::Relaxed));
        }
        state.mode = mode;
    }

    /// Lets every event arrive so much later than it is sent.
    pub(super) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Ends every watch, as the server does after the duration that was asked for.
    pub(super) fn end_watches(&self) {
        self.state().watchers.clear();
    }

    pub(super) fn break_connections(&self) {
        self.each_watcher(|_, _| Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
        self.end_watches();
    }

    /// Sends an error to every watch and ends it.
    pub(super) fn send_errors(&self) {
        self.each_watcher(|_, _| Ok(error_event(500, "InternalError")));
        self.end_watches();
    }

    pub(super) fn send_bookmarks(&self) {
        self.each_watcher(|_, version| {
            let metadata = json!({"resourceVersion": version.to_string()});
            let object = json!({"apiVersion": "v1", "kind": "Bookmark", "metadata": metadata});
            Ok(line(&json!({"type": "BOOKMARK", "object": object})))
        });
    }

    /// Forgets all changes up to now, and ends every watch, as a restart does.
    pub(super) fn compact(&self) {
        let mut state = self.state();
        state.next_version();
        state.compacted = state.version;
        state.watchers.clear();
    }

    fn each_watcher(&self, text: impl Fn(&Scope, u64) -> Result<String, io::Error>) {
        let state = self.state();
        for watcher in &state.watchers {
            let _ = watcher.events.send(state.sent(text(&watcher.scope, state.version)));
        }
    }

    /// The writes by clients since the last call: when, of which object, and what was written.
    pub(super) fn take_writes(&self) -> Vec<(Instant, Key, Value)> {
        std::mem::take(&mut self.state().writes)
    }

    /// Answers a request; `None` if it is never answered.
    async fn answer(&self, request: Request<Body>) -> Option<(u16, Answer)> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let scope = Scope::new(uri.path(), uri.query().unwrap_or_default());
        let query = |name: &str| parameter(uri.query().unwrap_or_default(), name);
        let mode = self.state().mode;
        match mode {
            Mode::Refuses(status) => return Some(failure(status, "refused")),
            Mode::Hangs => return None,
            Mode::Answers | Mode::LosesAnswers => {}
        }
        if method != Method::GET {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let answer = self.state().write(&method, &scope, body);
            return if mode == Mode::LosesAnswers { Some(failure(504, "Timeout")) } else { Some(answer) };
        }
        if self.state().kinds.get(&scope.resource).is_some_and(|kind| kind.is_missing) {
            return Some(failure(404, "NotFound"));
        }
        if query("watch").as_deref() == Some("true") {
            let from = query("resourceVersion").unwrap().parse().unwrap();
            let seconds = query("timeoutSeconds").unwrap().parse().unwrap();
            return Some((200, self.state().watch(scope, from, Duration::from_secs(seconds))));
        }
        Some(match &scope.name {
            Some(_) if query("fieldSelector").is_none() => self.state().one(&scope),
            _ => self.state().list(&scope, query("continue").as_deref()),
        })
    }
}

type Answer = BoxStream<'static, Result<String, io::Error>>;

impl State {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// An event that is sent now.
    fn sent(&self, event: Result<String, io::Error>) -> Sent {
        (Instant::now() + self.delay, event)
    }

    fn objects(&self, resource: &str) -> Objects {
        let kind = self.kinds.get(resource);
        kind.and_then(|kind| kind.history.values().next_back()).cloned().unwrap_or_default()
    }

    fn put(&mut self, resource: &str, key: Key, object: Option<Value>) {
        let version = self.next_version();
        let before = self.objects(resource);
        let mut after = before.clone();
        match object {
            None => drop(after.remove(&key)),
            Some(mut object) => {
                object["metadata"]["resourceVersion"] = version.to_string().into();
                object["metadata"]["name"] = key.1.as_str().into();
                if !key.0.is_empty() {
                    object["metadata"]["namespace"] = key.0.as_str().into();
                }
                after.insert(key, object);
            }
        }
        for watcher in self.watchers.iter().filter(|watcher| watcher.scope.resource == resource) {
            for event in events(&watcher.scope, &before, &after, version, self.fault) {
                let _ = watcher.events.send(self.sent(Ok(event)));
            }
        }
        self.kinds.entry(resource.to_owned()).or_default().history.insert(version, after);
    }

    /// A page of the list as it was when its first page was sent.
    fn list(&self, scope: &Scope, token: Option<&str>) -> (u16, Answer) {
        let (version, start) = match token.and_then(|token| token.split_once('-')) {
            Some((version, start)) => (version.parse().unwrap(), start.parse().unwrap()),
            None => (self.version, 0),
        };
        if version < self.compacted {
            return failure(410, "Expired");
        }
        let history = self.kinds.get(&scope.resource).map(|kind| &kind.history);
        let objects = history.and_then(|history| history.range(..=version).next_back());
        let matching: Vec<&Value> = objects
            .into_iter()
            .flat_map(|(_, objects)| objects)
            .filter(|it| scope.has(it))
            .map(|(_, it)| it)
            .collect();
        let page: Vec<&Value> = matching.iter().skip(start).take(PAGE).copied().collect();
        let end = start + page.len();
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if end < matching.len() {
            metadata["continue"] = format!("{version}-{end}").into();
        }
        text(200, &json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page}))
    }

    fn one(&self, scope: &Scope) -> (u16, Answer) {
        match self.objects(&scope.resource).iter().find(|object| scope.has(object)) {
            Some((_, object)) => text(200, object),
            None => failure(404, "NotFound"),
        }
    }

    fn watch(&mut self, scope: Scope, from: u64, lasts: Duration) -> Answer {
        let (events_sender, receiver) = mpsc::unbounded_channel();
        let is_silent = Arc::new(AtomicBool::new(false));
        if from < self.compacted && self.fault != Fault::ForgetsExpiry {
            let _ = events_sender.send(self.sent(Ok(error_event(410, "Expired"))));
        } else {
            let from = from.max(self.compacted);
            if let Some(kind) = self.kinds.get(&scope.resource) {
                let mut before = kind
                    .history
                    .range(..=from)
                    .next_back()
                    .map(|(_, objects)| objects.clone())
                    .unwrap_or_default();
                for (version, after) in kind.history.range(from + 1..) {
                    for event in events(&scope, &before, after, *version, self.fault) {
                        let _ = events_sender.send(self.sent(Ok(event)));
                    }
                    before.clone_from(after);
                }
            }
            self.watchers.push(Watcher { scope, is_silent: Arc::clone(&is_silent), events: events_sender });
        }
        let deadline = Instant::now() + lasts;
        stream::unfold((receiver, is_silent), move |(mut receiver, is_silent)| async move {
            let arrived = async {
                let (arrives, event) = receiver.recv().await?;
                sleep_until(arrives).await;
                Some(event)
            };
            match timeout_at(deadline, arrived).await {
                Ok(Some(event)) => Some((event, (receiver, is_silent))),
                Ok(None) | Err(_) if is_silent.load(Ordering::Relaxed) => std::future::pending().await,
                Ok(None) | Err(_) => None,
            }
        })
        .boxed()
    }

    /// Carries out a write of a status, with the version that it names, or the creation of an Event.
    fn write(&mut self, method: &Method, scope: &Scope, body: Value) -> (u16, Answer) {
        if *method == Method::POST {
            return text(201, &body);
        }
        let key =
            self.objects(&scope.resource).keys().find(|(_, name)| Some(name) == scope.name.as_ref()).cloned();
        let Some(key) = key else { return failure(404, "NotFound") };
        let mut object = self.objects(&scope.resource)[&key].clone();
        if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return failure(409, "Conflict");
        }
        object["status"] = body["status"].clone();
        self.writes.push((Instant::now(), key.clone(), body));
        self.put(&scope.resource, key, Some(object.clone()));
        text(200, &object)
    }
}

/// The events by which a watch learns of a change.
fn events(scope: &Scope, before: &Objects, after: &Objects, version: u64, fault: Fault) -> Vec<String> {
    let keys: std::collections::BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    let of = |key: &Key| {
        let held = |objects: &Objects| {
            objects.get_key_value(key).filter(|object| scope.has(object)).map(|(_, object)| object.clone())
        };
        let (kind, mut object) = match (held(before), held(after)) {
            (None, Some(after)) => ("ADDED", after),
            (Some(before), Some(after)) if before != after => ("MODIFIED", after),
            (Some(before), None) if fault != Fault::ForgetsDeletions => ("DELETED", before),
            _ => return None,
        };
        object["metadata"]["resourceVersion"] = version.to_string().into();
        Some(line(&json!({"type": kind, "object": object})))
    };
    keys.into_iter().filter_map(of).collect()
}

impl Scope {
    fn new(path: &str, query: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = parts.split_at(if parts[0] == "api" { 2 } else { 3 });
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let selected = parameter(query, "fieldSelector")
            .and_then(|selector| selector.strip_prefix("metadata.name=").map(str::to_owned));
        let labels = parameter(query, "labelSelector").unwrap_or_default();
        let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
        Self {
            resource: format!("/{}/{}", group.join("/"), rest[0]),
            namespace,
            name: rest.get(1).map(|name| (*name).to_owned()).or(selected),
            labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    fn has(&self, ((namespace, name), object): &(&Key, &Value)) -> bool {
        self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.labels.iter().all(|(key, value)| object["metadata"]["labels"][key] == value.as_str())
    }
}

/// A parameter of a query, without its escapes.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.replace("%3D", "=").replace("%2C", ",").replace('+', " "))
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn error_event(code: u16, reason: &str) -> String {
    line(&json!({"type": "ERROR", "object": status(code, reason)}))
}

fn status(code: u16, reason: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn failure(code: u16, reason: &str) -> (u16, Answer) {
    text(code, &status(code, reason))
}

fn text(code: u16, value: &Value) -> (u16, Answer) {
    (code, stream::iter([Ok(value.to_string())]).boxed())
}
