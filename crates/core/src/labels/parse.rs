//! Parsing of selectors from manifests into [`Selector`]s. A selector that Kubernetes or MetalLB would reject is an
//! error.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{Labels, Selector, SyntaxError, Values, check_key, check_value};
use crate::escape::excerpt;
use crate::field::FieldPath;

/// A `metav1.LabelSelector` as in a manifest: all requirements must hold; without requirements it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be present with exactly these values.
    #[serde(deserialize_with = "super::nulls::pruned", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Requirements with an operator.
    #[serde(deserialize_with = "super::nulls::or_default", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// The number of labels and values, at least one.
    #[must_use]
    pub fn size(&self) -> usize {
        let values = self.match_expressions.iter().map(|requirement| requirement.values.len().max(1));
        values.fold(self.match_labels.len(), usize::saturating_add).max(1)
    }
}

/// A `metav1.LabelSelectorRequirement` as in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`; [`LabelSelector::parse`] rejects any other.
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(deserialize_with = "super::nulls::or_default", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// An error in a selector, with its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SelectorError {
    /// The path from the root of the selector, or of the list of selectors.
    pub field: FieldPath,
    /// The problem at this path.
    pub problem: Problem,
}

/// A problem of a selector. Displays as what is wrong, a colon, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.message(), self.help())]
pub enum Problem {
    /// The operator is not one of the four (apimachinery `LabelSelectorAsSelector`).
    Operator(String),
    /// `In` or `NotIn` without values (apimachinery `labels.NewRequirement`).
    NoValues(String),
    /// `Exists` or `DoesNotExist` with values (apimachinery `labels.NewRequirement`).
    Values(String),
    /// A key or a value with invalid syntax.
    Syntax(#[from] SyntaxError),
    /// A duplicate, which makes all of MetalLB's configuration stale: `validateLabelSelectorDuplicate`, `validateDuplicate`
    /// (MetalLB 0.13.5 and 0.16.2, internal/config/config.go).
    Duplicate(&'static str),
}

impl Problem {
    /// The mistake.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Operator(operator) => format!("`{}` is not a label selector operator", excerpt(operator)),
            Self::NoValues(operator) => format!("operator `{operator}` has no values"),
            Self::Values(operator) => format!("operator `{operator}` takes no values"),
            Self::Syntax(error) => error.message(),
            Self::Duplicate(what) => format!("duplicate {what}"),
        }
    }

    /// The remedy.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Operator(_) => "use In, NotIn, Exists or DoesNotExist",
            Self::NoValues(_) => "add at least one value",
            Self::Values(_) => "remove the values, or use In",
            Self::Syntax(error) => error.help(),
            Self::Duplicate(_) => "remove one, because MetalLB rejects duplicates",
        }
    }
}

impl LabelSelector {
    /// Parses the selector.
    ///
    /// # Errors
    /// [`SelectorError`] for the first problem that `metav1.LabelSelectorAsSelector` rejects.
    pub fn parse(&self) -> Result<Selector, SelectorError> {
        let mut selector = Selector::default();
        for (key, value) in &self.match_labels {
            let at = || FieldPath::fields(["matchLabels"]).key(key);
            check_key(key).map_err(|error| refuse(at(), error))?;
            check_value(value).map_err(|error| refuse(at(), error))?;
            selector.require(key, Values::one_of([value.as_str()]));
        }
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let at = FieldPath::fields(["matchExpressions"]).index(index);
            let values = requirement.parse().map_err(|error| error.below(at))?;
            selector.require(&requirement.key, values);
        }
        Ok(selector)
    }

    /// Checks for duplicates within the selector, which MetalLB rejects.
    fn check_duplicates(&self) -> Result<(), SelectorError> {
        let mut seen = HashSet::new();
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let at = FieldPath::fields(["matchExpressions"]).index(index);
            if let Some(repeat) = first_duplicate(&requirement.values) {
                return Err(refuse(at.field("values").index(repeat), Problem::Duplicate("value")));
            }
            if !seen.insert(requirement.in_order()) {
                return Err(refuse(at, Problem::Duplicate("match expression")));
            }
        }
        Ok(())
    }

    /// Returns the selector with sorted values, as MetalLB compares selectors.
    fn in_order(&self) -> Self {
        Self {
            match_labels: self.match_labels.clone(),
            match_expressions: self.match_expressions.iter().map(Requirement::in_order).collect(),
        }
    }
}

impl Requirement {
    fn parse(&self) -> Result<Values, SelectorError> {
        check_key(&self.key).map_err(|error| refuse(FieldPath::fields(["key"]), error))?;
        let values = || FieldPath::fields(["values"]);
        let given = self.values.iter().map(String::as_str);
        let parsed = match (self.operator.as_str(), self.values.is_empty()) {
            ("In" | "NotIn", true) => {
                return Err(refuse(values(), Problem::NoValues(self.operator.clone())));
            }
            ("Exists" | "DoesNotExist", false) => {
                return Err(refuse(values(), Problem::Values(self.operator.clone())));
            }
            ("In", false) => Values::one_of(given),
            ("NotIn", false) => Values::none_of(given),
            ("Exists", true) => Values::present(),
            ("DoesNotExist", true) => Values::absent(),
            _ => {
                return Err(refuse(
                    FieldPath::fields(["operator"]),
                    Problem::Operator(self.operator.clone()),
                ));
            }
        };
        for (index, value) in self.values.iter().enumerate() {
            check_value(value).map_err(|error| refuse(values().index(index), error))?;
        }
        Ok(parsed)
    }

    fn in_order(&self) -> Self {
        let mut sorted = self.clone();
        sorted.values.sort_unstable();
        sorted
    }
}

impl SelectorError {
    /// Returns the error with the path prefixed by `parent`, the path of the selector.
    #[must_use]
    pub fn below(self, parent: FieldPath) -> Self {
        Self { field: parent.join(&self.field), problem: self.problem }
    }
}

fn refuse(field: FieldPath, problem: impl Into<Problem>) -> SelectorError {
    SelectorError { field, problem: problem.into() }
}

/// Parses a list of selectors, of which any may match.
///
/// # Errors
/// [`SelectorError`] for the first problem that Kubernetes or MetalLB rejects, including duplicates.
pub fn parse_list(list: &[LabelSelector]) -> Result<Vec<Selector>, SelectorError> {
    let mut seen = HashSet::new();
    let mut selectors = Vec::with_capacity(list.len());
    for (index, written) in list.iter().enumerate() {
        let at = || FieldPath::default().index(index);
        selectors.push(written.parse().map_err(|error| error.below(at()))?);
        written.check_duplicates().map_err(|error| error.below(at()))?;
        if !seen.insert(written.in_order()) {
            return Err(refuse(at(), Problem::Duplicate("selector")));
        }
    }
    Ok(selectors)
}

/// Returns the position of the first item that is equal to an earlier one.
pub(crate) fn first_duplicate<T: Ord>(items: &[T]) -> Option<usize> {
    let mut seen = BTreeSet::new();
    items.iter().position(|item| !seen.insert(item))
}
