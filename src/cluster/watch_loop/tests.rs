use std::sync::{Arc, Mutex};

use axum::http::{Request, Response};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch as channel;
use tower::service_fn;

use super::*;

const NODE: &str = r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"Node","metadata":{"name":"b","resourceVersion":"2"}}}"#;
const BOOKMARK: &str =
    r#"{"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"Node","metadata":{"resourceVersion":"3"}}}"#;
const EXPIRED: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old","reason":"Expired"}}"#;
const INTERNAL: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"broken","reason":"InternalError"}}"#;

/// A response of the API server.
#[derive(Clone)]
struct Answer {
    status: u16,
    pieces: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Text(String),
    /// The connection breaks, as when a proxy drops it.
    Break,
    /// No more bytes arrive, but the connection stays open.
    Silence,
}

/// Returns the response to a watch that sends these lines before it ends.
fn watch(lines: &[&str]) -> Answer {
    Answer { status: 200, pieces: lines.iter().map(|line| Piece::Text(format!("{line}\n"))).collect() }
}

fn and(mut answer: Answer, piece: Piece) -> Answer {
    answer.pieces.push(piece);
    answer
}

fn page(names: &[&str], metadata: &Value) -> Answer {
    let node = |name: &&str| json!({"metadata": {"name": name, "resourceVersion": "1"}});
    let items: Vec<_> = names.iter().map(node).collect();
    Answer {
        status: 200,
        pieces: vec![Piece::Text(json!({"metadata": metadata, "items": items}).to_string())],
    }
}

fn list(names: &[&str]) -> Answer {
    page(names, &json!({"resourceVersion": "1"}))
}

fn refusal(status: u16) -> Answer {
    Answer { status, pieces: vec![Piece::Text("no".to_owned())] }
}

/// A watch of nodes on an API server that gives these responses in order, and then none.
struct Scene {
    updates: mpsc::Receiver<(WatchId, Update)>,
    requests: channel::Receiver<Vec<String>>,
    liveness: Liveness,
    task: tokio::task::JoinHandle<WatchedKind>,
}

impl Scene {
    fn start(lasts: u32, answers: Vec<Answer>) -> Self {
        let (asked, requests) = channel::channel(Vec::new());
        let (asked, answers) = (Arc::new(asked), Arc::new(Mutex::new(answers.into_iter())));
        let service = service_fn(move |request: Request<Body>| {
            asked.send_modify(|requests| requests.push(request.uri().to_string()));
            let answer = answers.lock().unwrap().next();
            async move {
                let Some(Answer { status, pieces }) = answer else { std::future::pending().await };
                let frames = stream::iter(pieces).then(async |piece| match piece {
                    Piece::Text(text) => Ok(Frame::data(Bytes::from(text))),
                    Piece::Break => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                    Piece::Silence => std::future::pending().await,
                });
                let response = Response::builder().status(status);
                Ok::<_, kube::Error>(response.body(StreamBody::new(frames)).unwrap())
            }
        });
        let (sender, updates) = mpsc::channel(64);
        let metrics = WatchMetrics::default();
        let liveness = Liveness::new(metrics.last_contact(WatchedKind::Node));
        let watch = WatchLoop {
            id: WatchId(1),
            target: Target::everywhere(WatchedKind::Node),
            client: Client::new(service, "default"),
            updates: sender,
            decode: WatchedKind::decode,
            lasts,
            liveness: liveness.clone(),
            metrics,
        };
        let task = tokio::spawn(watch.run());
        Self { updates, requests, liveness, task }
    }

    /// Returns the next update in short: the names of a list, `+name`, `-name`, or the failure.
    async fn next(&mut self) -> String {
        match self.updates.recv().await.unwrap().1 {
            Update::Listed(items) => items.into_keys().map(|key| key.name).collect::<Vec<_>>().join(","),
            Update::Applied(key, _) => format!("+{}", key.name),
            Update::Deleted(key) => format!("-{}", key.name),
            Update::Failed(Failure::Missing) => "missing".to_owned(),
            Update::Failed(Failure::Expired(words) | Failure::Other(words)) => words,
        }
    }

    async fn nexts<const N: usize>(&mut self) -> [String; N] {
        let mut updates = [const { String::new() }; N];
        for update in &mut updates {
            *update = self.next().await;
        }
        updates
    }

    /// Waits for this number of requests. All responses but the last one have been handled then.
    async fn requests(&mut self, count: usize) -> Vec<String> {
        self.requests.wait_for(|requests| requests.len() >= count).await.unwrap().clone()
    }

    /// Returns the versions from which the first requests watched; `list` for a list.
    async fn versions(&mut self, count: usize) -> Vec<String> {
        let version = |uri: String| match uri.split_once("resourceVersion=") {
            Some((_, version)) => version.to_owned(),
            None => "list".to_owned(),
        };
        self.requests(count).await.into_iter().map(version).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns how often `answer` to the watch after a list confirms liveness, not counting the list itself.
async fn confirmations(lasts: u32, answer: Answer) -> usize {
    let mut scene = Scene::start(lasts, vec![list(&["a"]), answer]);
    scene.requests(3).await;
    scene.liveness.confirmations().checked_sub(1).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_pages_is_one_update() {
    let first = page(&["a"], &json!({"resourceVersion": "1", "continue": "more"}));
    let mut scene = Scene::start(60, vec![first, list(&["b"]), watch(&[NODE, BOOKMARK])]);
    assert_eq!(scene.nexts().await, ["a,b", "+b"]);
    let requests = scene.requests(2).await;
    assert!(requests[0].contains("limit=500") && requests[1].contains("continue=more"), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_discards_the_list() {
    let first = page(&["a"], &json!({"resourceVersion": "1", "continue": "more"}));
    let mut scene = Scene::start(60, vec![first, refusal(500), list(&["b"])]);
    assert!(scene.next().await.ends_with("(500)"));
    assert_eq!(scene.next().await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_at_the_last_event_or_bookmark() {
    let answers = vec![list(&["a"]), watch(&[NODE]), watch(&[BOOKMARK])];
    let mut scene = Scene::start(0, answers);
    assert_eq!(scene.nexts().await, ["a", "+b"]);
    assert_eq!(scene.versions(4).await, ["list", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_resource_version_causes_a_relist() {
    let mut scene = Scene::start(60, vec![list(&["a", "b"]), watch(&[EXPIRED]), list(&["b", "c"])]);
    assert_eq!(scene.nexts().await, ["a,b", "too old (410)", "b,c"]);
}

#[tokio::test(start_paused = true)]
async fn any_other_error_event_causes_a_relist() {
    let mut scene = Scene::start(60, vec![list(&["a"]), watch(&[INTERNAL]), list(&["b"])]);
    assert_eq!(scene.nexts().await, ["a", "broken (500)", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_decode_causes_a_relist() {
    let odd = r#"{"type":"ADDED","object":{"metadata":7}}"#;
    let mut scene = Scene::start(60, vec![list(&["a"]), watch(&[odd]), list(&["b"])]);
    let [first, _, second] = scene.nexts().await;
    assert_eq!([first, second], ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_resumes_without_a_list() {
    let broken = and(watch(&[NODE]), Piece::Break);
    let mut scene = Scene::start(60, vec![list(&["a"]), broken]);
    let [_, node, failure] = scene.nexts().await;
    assert_eq!(node, "+b");
    assert!(failure.contains("the connection to the API server broke"), "{failure}");
    assert_eq!(scene.versions(3).await, ["list", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_removed_is_reported_and_listed_again() {
    let answers = vec![list(&["a"]), refusal(404), refusal(404), list(&["b"])];
    let mut scene = Scene::start(60, answers);
    assert_eq!(scene.nexts().await, ["a", "missing", "missing", "b"]);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_a_failure() {
    let mut scene = Scene::start(60, vec![list(&["a"]), watch(&[])]);
    assert_eq!(scene.nexts().await, ["a", "the API server ended the watch at once"]);
}

#[tokio::test(start_paused = true)]
async fn every_event_and_the_end_of_a_watch_in_time_confirm_liveness() {
    assert_eq!(confirmations(0, watch(&[])).await, 1);
    assert_eq!(confirmations(0, watch(&[NODE, BOOKMARK])).await, 3);
    assert_eq!(confirmations(60, watch(&[NODE, BOOKMARK])).await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_event_does_not_confirm_liveness() {
    assert_eq!(confirmations(0, watch(&[INTERNAL])).await, 0);
    assert_eq!(confirmations(0, watch(&[NODE, EXPIRED])).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_partial_event_or_a_broken_connection_does_not_confirm_liveness() {
    let (start, end) = NODE.split_at(NODE.len() / 2);
    let piece = |text: &str| Piece::Text(text.to_owned());
    let half = || Answer { status: 200, pieces: vec![piece(start)] };
    assert_eq!(confirmations(60, half()).await, 0);
    assert_eq!(confirmations(0, and(half(), Piece::Break)).await, 0);
    let whole = and(half(), piece(&format!("{end}\n")));
    assert_eq!(confirmations(0, and(whole, Piece::Break)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_does_not_confirm_liveness() {
    assert_eq!(confirmations(0, refusal(403)).await, 0);
    assert_eq!(confirmations(0, refusal(500)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stays_silent_after_its_duration_is_given_up() {
    let mut scene = Scene::start(0, vec![list(&["a"]), and(watch(&[NODE]), Piece::Silence)]);
    assert_eq!(scene.nexts().await, ["a", "+b", "received nothing for 5s"]);
    assert_eq!(scene.liveness.confirmations(), 2);
}
