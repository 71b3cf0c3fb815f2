//! Label selectors as sets of label sets, decided exactly.
//!
//! A node has at most one value per label key, so a requirement restricts its key to a subset of "absent, or any
//! value": a finite set of values or the complement of one ([`Values`]). A selector is a box, the product of such
//! subsets over its keys ([`Selector`]), and a list of selectors is a union of boxes. Containment, overlap and
//! coverage are therefore decidable without any node, and every "no" comes with a [`Witness`]: a label set that proves
//! it.
//!
//! Invariant: this module has label keys and values only, no Kubernetes object and no rule.

mod cover;
pub(crate) mod nulls;
mod parse;
mod selector;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod witness;

pub use cover::{TooComplex, Work, uncovered, uncovered_within};
pub(crate) use parse::first_duplicate;
pub use parse::{LabelSelector, Problem, Requirement, SelectorError, parse_list};
pub use selector::Selector;
pub use syntax::{SyntaxError, check_key, check_value, is_dns_label};
pub use values::Values;
pub use witness::Witness;

use std::collections::BTreeMap;

use smol_str::SmolStr;

/// The labels of an object: at most one value per key.
pub type Labels = BTreeMap<SmolStr, SmolStr>;

/// Whether `labels` contain every pair of `wanted`, as a `nodeSelector` or a Service's `spec.selector` matches.
#[must_use]
pub fn carries(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Formats labels for a message: `` `a=b`, `c=d` ``.
pub(crate) fn in_words(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("`{key}={value}`")).collect::<Vec<_>>().join(", ")
}
