//! Witnesses: concrete label sets that prove a finding.

use std::collections::BTreeSet;
use std::fmt;

use smol_str::SmolStr;

use super::{Labels, Selector};

/// A label set that proves a finding, such as the labels of a node that would announce but must not run the gateway.
///
/// A witness may be empty: a node without labels can be one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The labels that the object has.
    pub labels: Labels,
    /// The keys whose absence is part of the proof.
    pub without: BTreeSet<SmolStr>,
}

impl Witness {
    /// Returns a label set that `selector` matches, with as few labels as possible.
    pub(super) fn of(selector: &Selector) -> Option<Self> {
        let mut witness = Self { labels: Labels::new(), without: BTreeSet::new() };
        for (key, values) in selector.keys() {
            match values.example()? {
                Some(value) => {
                    witness.labels.insert(key.clone(), value);
                }
                None => {
                    witness.without.insert(key.clone());
                }
            }
        }
        Some(witness)
    }
}

/// The maximum number of labels in a message: a hostile selector may have thousands of keys.
const SHOWN: usize = 6;

/// Displays as a phrase that follows "a node": ``labelled `a=b` and without the label `c` ``.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() && self.without.is_empty() {
            return f.write_str("without labels");
        }
        for (position, (key, value)) in self.labels.iter().take(SHOWN).enumerate() {
            f.write_str(if position == 0 { "labelled " } else { ", " })?;
            write!(f, "`{key}={value}`")?;
        }
        more(self.labels.len(), f)?;
        for (position, key) in self.without.iter().take(SHOWN).enumerate() {
            f.write_str(match (position, self.labels.is_empty()) {
                (0, true) => "without the label ",
                (0, false) => " and without the label ",
                _ => " or ",
            })?;
            write!(f, "`{key}`")?;
        }
        more(self.without.len(), f)
    }
}

fn more(all: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match all.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
