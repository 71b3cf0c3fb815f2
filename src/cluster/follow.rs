//! One watch, as a task: from the API server's events to reports.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::item::{Item, Raw};
use super::listing::{Listing, Report};
use super::target::{Target, WatchId};
use super::trouble::{Failure, Trouble};
use super::{Metrics, Watched, contact};

/// How long one watch request lasts. kube gives up on a silent one 5 s later, so this bounds how long facts can
/// be stale without anybody noticing; its default is 290 s. A request a minute costs the API server nothing.
pub(super) const WATCH_SECONDS: u32 = 60;

/// A watch that is to be followed.
pub(super) struct Watch {
    pub(super) id: WatchId,
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) reports: mpsc::Sender<(WatchId, Report)>,
    pub(super) metrics: Metrics,
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

impl Watch {
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
                    if let Some(report) = listing.take(event, |object| Item::read(kind, object)) {
                        trouble.over(&self.target);
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
            self.report(Report::Missing).await?;
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn api<K: Seen>(&self) -> Api<K> {
        let resource = self.target.kind.resource();
        let client = contact::listen(self.client.clone(), self.metrics.contact(self.target.kind));
        match &self.target.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    /// Lists are read from the quorum, kube's default: one from a lagging cache could undo what was seen.
    fn config(&self) -> watcher::Config {
        watcher::Config {
            label_selector: self.target.selector(),
            ..watcher::Config::default().timeout(WATCH_SECONDS)
        }
    }

    async fn report(&self, report: Report) -> Result<(), Unheard> {
        self.reports.send((self.id, report)).await.map_err(|_| Unheard)
    }
}
