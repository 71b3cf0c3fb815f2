//! One watch, as a task: from the API server's events to reports.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::contact::{self, Contact};
use super::failure::Failure;
use super::item::{Item, Raw};
use super::listing::{Listing, Report};
use super::target::{Target, WatchId};
use super::trouble::Trouble;
use super::{WatchMetrics, Watched};
use crate::snapshot::ObjectKey;

/// How long one watch request lasts at most. kube gives up on a silent one 5 s later; its default is 290 s. A
/// request a minute costs the API server nothing.
pub(super) const WATCH_SECONDS: u32 = 60;

/// A watch that is to be followed.
pub(super) struct Watch<T = Item> {
    pub(super) id: WatchId,
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) reports: mpsc::Sender<(WatchId, Report<T>)>,
    /// What is kept of an object.
    pub(super) read: fn(Watched, Raw) -> (ObjectKey, T),
    /// How many seconds one watch request lasts. The end of each is contact.
    pub(super) lasts: u32,
    pub(super) contact: Contact,
    pub(super) metrics: WatchMetrics,
}

/// An object as it is asked for: whole, or metadata alone.
trait Seen:
    Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Into<Raw>
    + 'static
{
}

impl Seen for DynamicObject {}

impl Seen for PartialObjectMeta {}

/// Nobody wants reports any more.
struct Unheard;

impl<T: Send + 'static> Watch<T> {
    /// Follows the watch for as long as somebody takes its reports, and says what it was about.
    pub(super) async fn follow(self) -> Watched {
        let kind = self.target.kind;
        // Boxed, because the two are large and of different sizes.
        let Unheard = if kind.is_whole() {
            Box::pin(self.follow_as::<DynamicObject>()).await
        } else {
            Box::pin(self.follow_as::<PartialObjectMeta>()).await
        };
        kind
    }

    async fn follow_as<K: Seen>(&self) -> Unheard {
        let api = self.api::<K>();
        let mut trouble = Trouble::default();
        loop {
            // After a missing kind, watching on from where the last list stood makes no sense.
            if let Err(unheard) = self.follow_until_missing(api.clone(), &mut trouble).await {
                return unheard;
            }
        }
    }

    async fn follow_until_missing<K: Seen>(&self, api: Api<K>, trouble: &mut Trouble) -> Result<(), Unheard> {
        let kind = self.target.kind;
        let mut events = pin!(watcher(api, self.config()));
        let mut listing = Listing::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.metrics.count_event(kind);
                    if let Some(report) = listing.take(event, |object| (self.read)(kind, object.into())) {
                        trouble.over(&self.target);
                        if matches!(report, Report::Listed(_)) {
                            self.heard()();
                        }
                        self.report(report).await?;
                    }
                }
                Err(error) => {
                    let failure = Failure::from(&error);
                    self.wait_out(&failure, trouble).await?;
                    if failure == Failure::Missing {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn wait_out(&self, failure: &Failure, trouble: &mut Trouble) -> Result<(), Unheard> {
        self.metrics.count_error(self.target.kind);
        let pause = trouble.note(failure, &self.target);
        if *failure == Failure::Missing {
            // That there is nothing is known, too.
            self.heard()();
            self.report(Report::Missing).await?;
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn api<K: Seen>(&self) -> Api<K> {
        let resource = self.target.kind.resource();
        let client = contact::listen(self.client.clone(), self.heard());
        match &self.target.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    /// What to call when the API server has confirmed what is held.
    fn heard(&self) -> impl Fn() + Clone + Send + Sync + use<T> {
        let (contact, metric) = (self.contact.clone(), self.metrics.contact(self.target.kind));
        move || {
            contact.heard();
            metric();
        }
    }

    /// Lists are read from the quorum, kube's default: one from a lagging cache could undo what was seen.
    fn config(&self) -> watcher::Config {
        watcher::Config {
            label_selector: self.target.selector(),
            field_selector: self.target.named(),
            ..watcher::Config::default().timeout(self.lasts)
        }
    }

    async fn report(&self, report: Report<T>) -> Result<(), Unheard> {
        self.reports.send((self.id, report)).await.map_err(|_| Unheard)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::super::target::targets;
    use super::*;

    /// An API server that gives these answers, one after the other, and then none.
    fn server(answers: Vec<(u16, String)>) -> Client {
        let answers = std::sync::Arc::new(Mutex::new(answers.into_iter()));
        let service = service_fn(move |_: Request<Body>| {
            let answer = answers.lock().unwrap().next();
            async move {
                let Some((status, body)) = answer else { std::future::pending().await };
                let response = Response::builder().status(status);
                Ok::<_, kube::Error>(response.body(Body::from(body.into_bytes())).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn list(names: &[&str]) -> (u16, String) {
        let node = |name: &&str| json!({"metadata": {"name": name, "resourceVersion": "1"}});
        let items: Vec<_> = names.iter().map(node).collect();
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": items});
        (200, list.to_string())
    }

    fn gone() -> (u16, String) {
        let object = json!({"kind": "Status", "code": 410, "message": "too old", "reason": "Expired"});
        (200, format!("{}\n", json!({"type": "ERROR", "object": object})))
    }

    async fn reports(answers: Vec<(u16, String)>, count: usize) -> Vec<Vec<String>> {
        let (reports, mut inbox) = mpsc::channel(1);
        let watch = Watch {
            id: WatchId(1),
            target: targets(std::iter::empty()).pop_first().unwrap(),
            client: server(answers),
            reports,
            read: Item::read,
            lasts: WATCH_SECONDS,
            contact: Contact::new(),
            metrics: WatchMetrics::default(),
        };
        let task = tokio::spawn(watch.follow());
        let mut seen = Vec::new();
        while seen.len() < count {
            seen.push(match inbox.recv().await.unwrap().1 {
                Report::Listed(items) => items.into_keys().map(|key| key.name).collect(),
                report => vec![format!("{report:?}")],
            });
        }
        task.abort();
        seen
    }

    #[tokio::test]
    async fn a_watch_that_is_too_old_is_listed_anew() {
        let answers = vec![list(&["a", "b"]), gone(), list(&["b", "c"])];
        assert_eq!(reports(answers, 2).await, [["a", "b"], ["b", "c"]]);
    }

    #[tokio::test]
    async fn a_kind_that_vanishes_is_reported_and_listed_again() {
        let missing = (404, "404 page not found".to_owned());
        let answers = vec![list(&["a"]), missing.clone(), missing, list(&["b"])];
        assert_eq!(reports(answers, 4).await, [["a"], ["Missing"], ["Missing"], ["b"]]);
    }
}
