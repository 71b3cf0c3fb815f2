//! Selectors as boxes: a set of allowed values per key.

use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::fmt;

use super::{Labels, Values, Witness};

/// A conjunction of requirements: at most one [`Values`] per key. A key without a requirement may have any value or be
/// absent.
///
/// The default selector has no requirements and matches every label set.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    keys: BTreeMap<SmolStr, Values>,
}

impl Selector {
    /// Returns the selector of a plain map, such as a pod's `spec.nodeSelector`.
    #[must_use]
    pub fn from_labels(labels: &Labels) -> Self {
        let keys = labels.iter().map(|(key, value)| (key.clone(), Values::one_of([value.clone()]))).collect();
        Self { keys }
    }

    /// Adds a requirement: the value of `key` must also be in `values`.
    pub fn require(&mut self, key: &str, values: Values) {
        match self.keys.get_mut(key) {
            Some(held) => *held = held.intersect(&values),
            None => {
                self.keys.insert(SmolStr::new(key), values);
            }
        }
    }

    /// Returns the selector with the set of `key` replaced by `values`.
    pub(super) fn with(&self, key: &SmolStr, values: Values) -> Self {
        let mut narrowed = self.clone();
        narrowed.keys.insert(key.clone(), values);
        narrowed
    }

    /// Returns the keys with requirements, and the set of each.
    pub fn keys(&self) -> impl Iterator<Item = (&SmolStr, &Values)> {
        self.keys.iter()
    }

    /// Returns the set of `key`; `None` if the key has no requirement.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Values> {
        self.keys.get(key)
    }

    /// Whether every label set matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let anything = Values::anything();
        self.keys.values().all(|values| *values == anything)
    }

    /// Whether no label set can match, because the requirements on some key contradict each other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.values().any(Values::is_empty)
    }

    /// Whether the selector matches an object with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.keys.iter().all(|(key, values)| values.holds(labels.get(key).map(SmolStr::as_str)))
    }

    /// Returns the selector of the label sets that both selectors match.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (key, values) in &other.keys {
            both.require(key, values.clone());
        }
        both
    }

    /// Whether a label set exists that both selectors match.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && other
                .keys
                .iter()
                .all(|(key, values)| self.keys.get(key).is_none_or(|held| held.overlaps(values)))
    }

    /// Whether `other` matches every label set that `self` matches.
    ///
    /// Takes time linear in the size of the two selectors (times a logarithm for the look-ups).
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.is_empty() || self.first_outside(other).is_none()
    }

    /// Returns a label set that `self` matches and `other` does not; `None` if there is none.
    #[must_use]
    pub fn outside(&self, other: &Self) -> Option<Witness> {
        if self.is_empty() {
            return None;
        }
        let (key, values) = self.first_outside(other)?;
        self.with(&key, values).witness()
    }

    /// Returns a label set that the selector matches; `None` if there is none.
    #[must_use]
    pub fn witness(&self) -> Option<Witness> {
        Witness::of(self)
    }

    /// Returns the first key for which `self` allows values that `other` does not, and these values.
    fn first_outside(&self, other: &Self) -> Option<(SmolStr, Values)> {
        let anything = Values::anything();
        other.keys.iter().find_map(|(key, allowed)| {
            let held = self.keys.get(key).unwrap_or(&anything);
            (!held.is_within(allowed)).then(|| (key.clone(), held.intersect(&allowed.complement())))
        })
    }

    pub(super) fn size(&self) -> usize {
        self.keys.values().map(Values::size).fold(1, usize::saturating_add)
    }
}

/// Displays in Kubernetes' selector syntax, for messages; `(everything)` without requirements.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.is_empty() {
            return f.write_str("(everything)");
        }
        for (position, (key, values)) in self.keys.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            values.fmt_for(key, f)?;
        }
        Ok(())
    }
}
