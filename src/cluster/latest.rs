//! What there is, as one watch reports it.

use std::collections::BTreeMap;

use super::listing::Report;

/// The objects of one watch by name; `None` before its first list, and while the kind is missing.
#[derive(Debug)]
pub(super) struct Latest<T>(Option<BTreeMap<String, T>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Latest<T> {
    pub(super) fn apply(&mut self, report: Report<T>) {
        match report {
            Report::Listed(items) => {
                self.0 = Some(items.into_iter().map(|(key, item)| (key.name, item)).collect());
            }
            Report::Applied(key, item) => {
                if let Some(items) = &mut self.0 {
                    items.insert(key.name, item);
                }
            }
            Report::Deleted(key) => {
                if let Some(items) = &mut self.0 {
                    items.remove(&key.name);
                }
            }
            Report::Missing => self.0 = None,
        }
    }

    pub(super) const fn items(&self) -> Option<&BTreeMap<String, T>> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::ObjectKey;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: String::new(), name: name.to_owned() }
    }

    #[test]
    fn nothing_is_known_before_the_first_list_and_while_the_kind_is_missing() {
        let mut latest = Latest::default();
        assert_eq!(latest.items(), None);
        latest.apply(Report::Applied(key("a"), 0));
        assert_eq!(latest.items(), None);
        latest.apply(Report::Listed([(key("a"), 1), (key("b"), 2)].into()));
        latest.apply(Report::Applied(key("a"), 3));
        latest.apply(Report::Deleted(key("b")));
        assert_eq!(latest.items(), Some(&BTreeMap::from([("a".to_owned(), 3)])));
        latest.apply(Report::Missing);
        assert_eq!(latest.items(), None);
    }
}
