//! Required node affinity: whether it allows a pod to run inside or outside the placement.
//!
//! A term is a selector with two more operators, `Gt` and `Lt`, that read a label value as an integer
//! (component-helpers `nodeaffinity.go`; values are parsed as in `strconv.ParseInt(value, 10, 64)`).

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::labels::{Selector, Values, Witness};
use crate::objects::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// Exclusive bounds on a label value that must be an integer.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    above: i128,
    below: i128,
}

impl Bounds {
    const NONE: Self = Self { above: i64::MIN as i128 - 1, below: i64::MAX as i128 + 1 };

    fn and(self, other: Self) -> Self {
        Self { above: self.above.max(other.above), below: self.below.min(other.below) }
    }

    fn hold(self, value: &str) -> bool {
        value.parse::<i64>().is_ok_and(|value| self.above < value.into() && i128::from(value) < self.below)
    }
}

/// Whether some node of the placement satisfies the term.
///
/// `metadata.name` is ignored, because the existing names depend on the current nodes.
pub(super) fn is_satisfiable(term: &NodeSelectorTerm, placement: &Selector) -> bool {
    let Some((both, bounds)) = narrow(placement, term) else {
        return false;
    };
    !both.is_empty() && bounds.iter().all(|(key, bounds)| has_integer(both.get(key), *bounds))
}

/// Returns a node outside the placement that the pod may run on; `None` if there is none.
///
/// `Gt` and `Lt` are ignored. They only narrow the choice, so the returned node may be excluded by a bound, but no
/// node is missed.
pub(super) fn admits_outside(spec: &PodSpec, selected: &Selector, placement: &Selector) -> Option<Witness> {
    match spec.required_terms() {
        None => selected.outside(placement),
        Some(terms) => terms
            .iter()
            .filter_map(|term| narrow(selected, term))
            .find_map(|(both, _)| both.outside(placement)),
    }
}

/// Returns the names of the nodes that the terms pin the pod to; empty unless every term that selects a node pins it
/// by name.
pub(super) fn pinned_nodes(terms: &[NodeSelectorTerm]) -> Vec<&str> {
    let mut names = Vec::new();
    for term in terms {
        let mut pins =
            term.match_fields.iter().filter(|field| field.key == "metadata.name" && field.operator == "In");
        match pins.next() {
            Some(pin) => names.extend(pin.values.iter().map(SmolStr::as_str)),
            None => return Vec::new(),
        }
    }
    names
}

/// Returns the intersection of `selected` and the term, and the term's bounds by key; `None` for a term that selects
/// no node.
fn narrow<'t>(
    selected: &Selector,
    term: &'t NodeSelectorTerm,
) -> Option<(Selector, BTreeMap<&'t str, Bounds>)> {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        return None;
    }
    let mut selector = selected.clone();
    let mut bounds: BTreeMap<&str, Bounds> = BTreeMap::new();
    for requirement in &term.match_expressions {
        match values(requirement) {
            Some(values) => selector.require(&requirement.key, values),
            None => {
                selector.require(&requirement.key, Values::present());
                let held = bounds.entry(requirement.key.as_str()).or_insert(Bounds::NONE);
                *held = held.and(bound(requirement)?);
            }
        }
    }
    Some((selector, bounds))
}

fn values(requirement: &NodeSelectorRequirement) -> Option<Values> {
    let listed = requirement.values.iter().cloned();
    match requirement.operator.as_str() {
        "In" => Some(Values::one_of(listed)),
        "NotIn" => Some(Values::none_of(listed)),
        "Exists" => Some(Values::present()),
        "DoesNotExist" => Some(Values::absent()),
        _ => None,
    }
}

/// Parses the bound of `Gt` or `Lt`. The API server rejects any other operator, so here it selects no node.
fn bound(requirement: &NodeSelectorRequirement) -> Option<Bounds> {
    let [limit] = requirement.values.as_slice() else {
        return None;
    };
    let limit = i128::from(limit.parse::<i64>().ok()?);
    match requirement.operator.as_str() {
        "Gt" => Some(Bounds { above: limit, ..Bounds::NONE }),
        "Lt" => Some(Bounds { below: limit, ..Bounds::NONE }),
        _ => None,
    }
}

/// Whether the set of a key contains an integer within the bounds.
fn has_integer(held: Option<&Values>, bounds: Bounds) -> bool {
    match held.and_then(Values::finite) {
        Some(values) => values.iter().any(|value| bounds.hold(value)),
        // The set has all values but a few, so an integer must fit between the bounds. The listed values cannot
        // exclude every spelling of it: `5`, `05` and `005` are one integer and three values.
        None => bounds.below.saturating_sub(bounds.above) > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeSelectorRequirement, NodeSelectorTerm, Selector, Values, is_satisfiable};

    /// Whether a node whose label `rank` has one of these values can satisfy all of the requirements on it.
    fn holds(rank: Values, requirements: &[(&str, &str)]) -> bool {
        let mut placement = Selector::default();
        placement.require("rank", rank);
        let requirement = |(operator, value): &(&str, &str)| NodeSelectorRequirement {
            key: "rank".into(),
            operator: (*operator).into(),
            values: vec![(*value).into()],
        };
        let match_expressions = requirements.iter().map(requirement).collect();
        is_satisfiable(&NodeSelectorTerm { match_expressions, ..NodeSelectorTerm::default() }, &placement)
    }

    #[test]
    fn gt_and_lt_are_exclusive_and_cover_all_integers() {
        const MIN: &str = "-9223372036854775808";
        const MAX: &str = "9223372036854775807";
        for (value, requirements, expected) in [
            ("5", vec![("Gt", "4")], true),
            ("5", vec![("Gt", "5")], false),
            ("5", vec![("Lt", "6")], true),
            ("5", vec![("Lt", "5")], false),
            ("5", vec![("Gt", "4"), ("Lt", "6"), ("Gt", "3"), ("Lt", "7")], true),
            ("5", vec![("Gt", "5"), ("Gt", "3")], false),
            ("5", vec![("Lt", "5"), ("Lt", "7")], false),
            (MAX, vec![("Gt", "4")], true),
            (MIN, vec![("Lt", "4")], true),
            ("five", vec![("Gt", "4")], false),
            ("5", vec![("Gt", "four")], false),
            ("9223372036854775808", vec![("Gt", "4")], false),
        ] {
            assert_eq!(holds(Values::one_of([value]), &requirements), expected, "{value} {requirements:?}");
        }
        for (requirements, expected) in [
            (vec![("Gt", "4")], true),
            (vec![("Gt", "4"), ("Lt", "6")], true),
            (vec![("Gt", "4"), ("Lt", "5")], false),
            (vec![("Gt", "9223372036854775806")], true),
            (vec![("Gt", MAX)], false),
            (vec![("Lt", "-9223372036854775807")], true),
            (vec![("Lt", MIN)], false),
        ] {
            assert_eq!(holds(Values::present(), &requirements), expected, "{requirements:?}");
        }
        assert!(!holds(Values::absent(), &[("Gt", "4")]));
        assert!(holds(Values::one_of(["3", "5"]), &[("Gt", "4")]));
    }
}
