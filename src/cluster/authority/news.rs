//! When one object changes.

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};

use crate::cluster::watch_loop::WATCH_SECONDS;

/// An item whenever the object of that name changes, appears or vanishes, or when the watch has started anew.
///
/// Failures are left out: what the watch cannot see, a pass cannot read, and the pass tells why.
pub(super) fn news(api: Api<PartialObjectMeta>, name: &str) -> BoxStream<'static, ()> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS);
    let events = watcher(api, config).default_backoff();
    events.filter_map(async |event| event.ok().map(drop)).boxed()
}
