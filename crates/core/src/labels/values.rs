//! The set of values that one label key may have.

use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeSet;

/// The set of values that one key may have, with or without the key's absence.
///
/// The set is either finite, or the complement of a finite set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Values {
    absent: bool,
    all_but: bool,
    listed: BTreeSet<SmolStr>,
}

impl Values {
    /// Every value, and absence: the set of a key without a requirement.
    #[must_use]
    pub fn anything() -> Self {
        Self { absent: true, all_but: true, listed: BTreeSet::new() }
    }

    /// Exactly `values`; the key must be present.
    #[must_use]
    pub fn one_of<V: Into<SmolStr>>(values: impl IntoIterator<Item = V>) -> Self {
        Self { absent: false, all_but: false, listed: values.into_iter().map(Into::into).collect() }
    }

    /// Every value but `values`, and absence, as in Kubernetes (`labels.Requirement.Matches`).
    #[must_use]
    pub fn none_of<V: Into<SmolStr>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::one_of(values).complement()
    }

    /// Every value; the key must be present.
    #[must_use]
    pub fn present() -> Self {
        Self { absent: false, all_but: true, listed: BTreeSet::new() }
    }

    /// Absence alone.
    #[must_use]
    pub fn absent() -> Self {
        Self::present().complement()
    }

    /// Returns the complement: everything that is not in `self`.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { absent: !self.absent, all_but: !self.all_but, listed: self.listed.clone() }
    }

    /// Returns the intersection: everything that is in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (all_but, listed) = match (self.all_but, other.all_but) {
            (false, false) => (false, self.listed.intersection(&other.listed).cloned().collect()),
            (false, true) => (false, self.listed.difference(&other.listed).cloned().collect()),
            (true, false) => (false, other.listed.difference(&self.listed).cloned().collect()),
            (true, true) => (true, self.listed.union(&other.listed).cloned().collect()),
        };
        Self { absent: self.absent && other.absent, all_but, listed }
    }

    /// Returns what is in `self` and in none of the others.
    pub(super) fn without_all<'v>(mut self, others: impl Iterator<Item = &'v Self>) -> Self {
        for other in others {
            if other.all_but {
                self = self.intersect(&other.complement());
                continue;
            }
            self.absent &= !other.absent;
            if self.all_but {
                self.listed.extend(other.listed.iter().cloned());
            } else {
                other.listed.iter().for_each(|value| drop(self.listed.take(value)));
            }
        }
        self
    }

    /// Whether the set is empty, because requirements contradict each other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.absent && !self.all_but && self.listed.is_empty()
    }

    /// Whether `other` contains `self`. It allocates no set.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        if self.absent && !other.absent {
            return false;
        }
        match (self.all_but, other.all_but) {
            (false, false) => self.listed.is_subset(&other.listed),
            (false, true) => self.listed.is_disjoint(&other.listed),
            // There are infinitely many values, so a finite set never contains a complement.
            (true, false) => false,
            (true, true) => other.listed.is_subset(&self.listed),
        }
    }

    /// Whether both sets have an element in common. It allocates no set.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        (self.absent && other.absent)
            || match (self.all_but, other.all_but) {
                (false, false) => !self.listed.is_disjoint(&other.listed),
                (false, true) => !self.listed.is_subset(&other.listed),
                (true, false) => !other.listed.is_subset(&self.listed),
                (true, true) => true,
            }
    }

    /// Whether `value` is in the set; `None` stands for the key's absence.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        value.map_or(self.absent, |value| self.listed.contains(value) != self.all_but)
    }

    /// Returns the values, if the set is finite and does not contain absence.
    #[must_use]
    pub fn finite(&self) -> Option<&BTreeSet<SmolStr>> {
        (!self.absent && !self.all_but).then_some(&self.listed)
    }

    /// Returns the cost of one step on this set: the number of listed values, plus one.
    pub(super) fn size(&self) -> usize {
        self.listed.len().saturating_add(1)
    }

    /// Returns one element: absence (`Some(None)`) if it is in the set, otherwise a value; `None` if the set is empty.
    pub(super) fn example(&self) -> Option<Option<SmolStr>> {
        if self.absent {
            return Some(None);
        }
        if self.all_but {
            return Some(Some(self.fresh()));
        }
        self.listed.first().cloned().map(Some)
    }

    /// Returns a value that is not listed.
    fn fresh(&self) -> SmolStr {
        (0_u64..)
            .map(|n| if n == 0 { SmolStr::new_static("other") } else { format_smolstr!("other-{n}") })
            .find(|value: &SmolStr| !self.listed.contains(value))
            .unwrap_or_else(|| SmolStr::new_static("other"))
    }
}

impl Values {
    /// Writes the requirement on `key` in Kubernetes' selector syntax.
    pub(super) fn fmt_for(&self, key: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = self.listed.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(",");
        match (self.absent, self.all_but, self.listed.len()) {
            (false, false, 0) => write!(f, "{key} in ()"),
            (false, false, 1) => write!(f, "{key}={listed}"),
            (false, false, _) => write!(f, "{key} in ({listed})"),
            (true, true, 0) => write!(f, "{key} is anything"),
            (true, true, 1) => write!(f, "{key}!={listed}"),
            (true, true, _) => write!(f, "{key} notin ({listed})"),
            (true, false, 0) => write!(f, "!{key}"),
            (true, false, _) => write!(f, "{key} absent or in ({listed})"),
            (false, true, 0) => write!(f, "{key}"),
            (false, true, _) => write!(f, "{key},{key} notin ({listed})"),
        }
    }
}
