//! From the events of one watch to reports: a list is held back until it is complete.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;

use super::item::Item;
use crate::snapshot::ObjectKey;

/// What a watch has to say.
#[derive(Debug, PartialEq)]
pub(super) enum Report<T = Item> {
    /// All that there is. What is not in it is gone.
    Listed(BTreeMap<ObjectKey, T>),
    /// One object came or changed.
    Applied(ObjectKey, T),
    /// One object went.
    Deleted(ObjectKey),
    /// The API server does not know the kind.
    Missing,
}

/// The list that is under way.
#[derive(Debug)]
pub(super) struct Listing<T = Item> {
    found: BTreeMap<ObjectKey, T>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { found: BTreeMap::new() }
    }
}

impl<T> Listing<T> {
    /// Takes one event in; `read` cuts its object down.
    pub(super) fn take<K>(
        &mut self,
        event: Event<K>,
        read: impl FnOnce(K) -> (ObjectKey, T),
    ) -> Option<Report<T>> {
        match event {
            // A list that broke off starts over.
            Event::Init => {
                self.found.clear();
                None
            }
            Event::InitApply(object) => {
                let (key, item) = read(object);
                self.found.insert(key, item);
                None
            }
            Event::InitDone => Some(Report::Listed(std::mem::take(&mut self.found))),
            Event::Apply(object) => {
                let (key, item) = read(object);
                Some(Report::Applied(key, item))
            }
            Event::Delete(object) => Some(Report::Deleted(read(object).0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;

    fn pod(name: &str) -> (ObjectKey, Item) {
        let key = ObjectKey { namespace: "istio-system".to_owned(), name: name.to_owned() };
        (key, Item::Pod(Labels::new()))
    }

    fn reports(events: impl IntoIterator<Item = Event<&'static str>>) -> Vec<Report> {
        let mut listing: Listing = Listing::default();
        events.into_iter().filter_map(|event| listing.take(event, pod)).collect()
    }

    #[test]
    fn a_list_is_one_report() {
        let reports = reports([
            Event::Init,
            Event::InitApply("a"),
            Event::InitApply("b"),
            Event::InitDone,
            Event::Apply("c"),
            Event::Delete("a"),
        ]);
        let (c, item) = pod("c");
        assert_eq!(
            reports,
            [
                Report::Listed([pod("a"), pod("b")].into()),
                Report::Applied(c, item),
                Report::Deleted(pod("a").0),
            ]
        );
    }

    #[test]
    fn a_list_that_breaks_off_leaves_nothing_behind() {
        let reports = reports([
            Event::Init,
            Event::InitApply("a"),
            Event::Init,
            Event::InitApply("b"),
            Event::InitDone,
        ]);
        assert_eq!(reports, [Report::Listed([pod("b")].into())]);
    }
}
