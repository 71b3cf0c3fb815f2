//! From what people write to a [`Selector`]; what Kubernetes or MetalLB would refuse is refused here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{Labels, Selector, SyntaxError, Values, check_key, check_value};
use crate::escape::excerpt;
use crate::field::FieldPath;

/// A `metav1.LabelSelector` as it is written: all of its requirements must hold, and none means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Exact values.
    #[serde(deserialize_with = "super::tolerant::pruned", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Requirements with an operator.
    #[serde(deserialize_with = "super::tolerant::or_default", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// A `metav1.LabelSelectorRequirement` as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`; anything else is refused by [`LabelSelector::parse`].
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(deserialize_with = "super::tolerant::or_default", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Why a selector is refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SelectorError {
    /// The place, from the root of the selector (or of the list of selectors).
    pub field: FieldPath,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// apimachinery `LabelSelectorAsSelector`: the operator is none of the four.
    #[error("`{}` is not a label selector operator: use In, NotIn, Exists or DoesNotExist", excerpt(.0))]
    Operator(String),
    /// apimachinery `labels.NewRequirement`.
    #[error("operator `{0}` needs at least one value")]
    NoValues(String),
    /// apimachinery `labels.NewRequirement`.
    #[error("operator `{0}` takes no values: remove them, or use In")]
    Values(String),
    /// A key or value that is none.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// MetalLB `validateLabelSelectorDuplicate`, `validateDuplicate` (internal/config/config.go, 0.13.5 and
    /// 0.16.2): a duplicate makes its whole configuration stale.
    #[error("the same {0} stands twice: MetalLB refuses duplicates, so remove one")]
    Duplicate(&'static str),
}

impl LabelSelector {
    /// The selector as a box.
    ///
    /// # Errors
    /// [`SelectorError`] for what `metav1.LabelSelectorAsSelector` refuses.
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

    /// What MetalLB refuses inside one selector of a list.
    fn check_duplicates(&self) -> Result<(), SelectorError> {
        let mut seen = HashSet::new();
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let at = FieldPath::fields(["matchExpressions"]).index(index);
            if let Some(repeat) = first_repeat(&requirement.values) {
                return Err(refuse(at.field("values").index(repeat), Problem::Duplicate("value")));
            }
            if !seen.insert(requirement.in_order()) {
                return Err(refuse(at, Problem::Duplicate("match expression")));
            }
        }
        Ok(())
    }

    /// The selector with the values of each requirement sorted, as MetalLB compares it.
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
    /// The same error, seen from further up: `parent` leads to the selector it is about.
    #[must_use]
    pub fn below(self, parent: FieldPath) -> Self {
        Self { field: parent.join(&self.field), problem: self.problem }
    }
}

fn refuse(field: FieldPath, problem: impl Into<Problem>) -> SelectorError {
    SelectorError { field, problem: problem.into() }
}

/// The selectors of a list, of which any may match; duplicates are refused as MetalLB refuses them.
///
/// # Errors
/// [`SelectorError`] for the first selector that Kubernetes or MetalLB refuses.
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

/// The position of the first item that stood earlier in the list already.
pub(crate) fn first_repeat<T: Ord>(items: &[T]) -> Option<usize> {
    let mut seen = BTreeSet::new();
    items.iter().position(|item| !seen.insert(item))
}
