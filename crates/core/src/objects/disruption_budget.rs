//! `PodDisruptionBudget`s: how many pods may be evicted at once.

use serde::Deserialize;

use super::{IntOrPercent, Rounding};
use crate::labels::nulls::{self, or_default};
use crate::labels::{LabelSelector, Labels, Requirement, Selector};

/// A `PodDisruptionBudget` (`policy/v1`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Whole")]
pub struct DisruptionBudget {
    /// The pods that it covers; `None` for none.
    pub selector: Option<Selector>,
    /// The limit.
    pub limit: DisruptionLimit,
}

/// The limit of a budget: one of two fields, of which the API server admits one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisruptionLimit {
    /// `minAvailable`: how many pods must stay.
    MinAvailable(IntOrPercent),
    /// `maxUnavailable`: how many pods may be gone.
    MaxUnavailable(IntOrPercent),
    /// Neither: no eviction is allowed.
    Missing,
}

impl DisruptionBudget {
    /// Whether the budget covers a pod of its namespace with these labels. A budget without a selector covers none, one
    /// with an empty selector all.
    #[must_use]
    pub fn covers(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// The number of `expected` healthy pods that may be evicted at once. Percentages are rounded up (`getExpectedPodCount` and
    /// `updatePdbStatus`, pkg/controller/disruption/disruption.go of Kubernetes).
    #[must_use]
    pub fn allowed(&self, expected: u32) -> u32 {
        match self.limit {
            DisruptionLimit::MinAvailable(limit) => expected.saturating_sub(limit.of(expected, Rounding::Up)),
            DisruptionLimit::MaxUnavailable(limit) => limit.of(expected, Rounding::Up).min(expected),
            DisruptionLimit::Missing => 0,
        }
    }
}

/// Displays as a field and its value: `` `minAvailable` is `1` ``.
impl std::fmt::Display for DisruptionLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MinAvailable(limit) => write!(f, "`minAvailable` is `{limit}`"),
            Self::MaxUnavailable(limit) => write!(f, "`maxUnavailable` is `{limit}`"),
            Self::Missing => f.write_str("neither `minAvailable` nor `maxUnavailable` is set"),
        }
    }
}

/// The object as stored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole {
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    selector: Option<StoredSelector>,
    min_available: Option<IntOrPercent>,
    max_unavailable: Option<IntOrPercent>,
}

/// A label selector of a built-in kind, in which a null value is an empty one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredSelector {
    #[serde(deserialize_with = "nulls::strings")]
    match_labels: Labels,
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<Requirement>,
}

impl TryFrom<Whole> for DisruptionBudget {
    type Error = String;

    fn try_from(Whole { spec }: Whole) -> Result<Self, String> {
        let parse = |StoredSelector { match_labels, match_expressions }| {
            let parsed = LabelSelector { match_labels, match_expressions }.parse();
            parsed.map_err(|error| format!("`spec.selector.{}`: {}", error.field, error.problem))
        };
        Ok(Self {
            selector: spec.selector.map(parse).transpose()?,
            limit: match (spec.max_unavailable, spec.min_available) {
                (Some(limit), _) => DisruptionLimit::MaxUnavailable(limit),
                (None, Some(limit)) => DisruptionLimit::MinAvailable(limit),
                (None, None) => DisruptionLimit::Missing,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: &Value) -> Result<DisruptionBudget, String> {
        serde_json::from_value(json!({"spec": spec})).map_err(|error| error.to_string())
    }

    #[test]
    fn a_budget_rounds_percentages_up() {
        for (spec, expected, allowed) in [
            (json!({"minAvailable": 1}), 2, 1),
            (json!({"minAvailable": 3}), 2, 0),
            (json!({"minAvailable": "0%"}), 2, 2),
            (json!({"minAvailable": "51%"}), 2, 0),
            (json!({"minAvailable": "50%"}), 3, 1),
            (json!({"maxUnavailable": "1%"}), 2, 1),
            (json!({"maxUnavailable": "51%"}), 2, 2),
            (json!({"maxUnavailable": 5}), 2, 2),
            (json!({"maxUnavailable": 0, "minAvailable": null}), 2, 0),
            (json!({}), 2, 0),
        ] {
            assert_eq!(budget(&spec).unwrap().allowed(expected), allowed, "{spec} of {expected}");
        }
    }

    #[test]
    fn no_selector_covers_no_pod_and_an_empty_one_covers_every_pod() {
        let covers = |selector: Value| {
            budget(&json!({"selector": selector})).unwrap().covers(&[("app".into(), "gateway".into())].into())
        };
        assert!(!covers(Value::Null));
        assert!(covers(json!({})));
        assert!(covers(json!({"matchLabels": {"app": "gateway"}})));
        assert!(!covers(json!({"matchLabels": {"app": null}})), "null is an empty value");
        let wrong = budget(&json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}}));
        assert_eq!(
            wrong.unwrap_err(),
            "`spec.selector.matchExpressions[0].operator`: `Is` is not a label selector operator: use In, NotIn, Exists or \
             DoesNotExist"
        );
    }
}
