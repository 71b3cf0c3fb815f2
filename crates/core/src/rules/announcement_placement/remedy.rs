//! The smallest change of an advertisement that would be admitted.

use crate::labels::{LabelSelector, Selector, parse_list, uncovered};
use crate::snapshot::ResolvedTopology;
use crate::topology::Match;

/// Longer lists than this are not worth reading in a message; the plain placement is offered instead.
const MAX_SELECTORS: usize = 8;
/// Longer lists than this are not looked at: proposals compare each selector with every other one.
const MAX_EXAMINED: usize = 64;

/// What to do, in words. Every proposal has been judged: it would be admitted.
pub(super) fn propose(written: &[LabelSelector], topology: &ResolvedTopology) -> String {
    let written = if written.len() > MAX_EXAMINED { &[] } else { written };
    if let Some((removed, _)) = without_a_stranger(written, topology).filter(|(_, rest)| fits(rest, topology))
    {
        return format!("remove `spec.nodeSelectors[{removed}]`");
    }
    let proposal = Some(narrowed(written, topology))
        .filter(|proposal| proposal.len() <= MAX_SELECTORS && fits(proposal, topology))
        .unwrap_or_else(|| vec![placement(topology)]);
    format!("set `spec.nodeSelectors` to `{}`", flow(&proposal))
}

/// The placement as a selector.
fn placement(topology: &ResolvedTopology) -> LabelSelector {
    LabelSelector {
        match_labels: topology.spec.placement.node_selector.clone(),
        match_expressions: Vec::new(),
    }
}

/// Whether some nodes are selected, and all of them are gateway nodes.
fn is_within(selector: &LabelSelector, topology: &ResolvedTopology) -> bool {
    selector.parse().is_ok_and(|selector| !selector.is_empty() && selector.is_within(&topology.placement))
}

/// The list without the first selector that admits other nodes, and its position; `None` if there is no such one.
fn without_a_stranger(
    written: &[LabelSelector],
    topology: &ResolvedTopology,
) -> Option<(usize, Vec<LabelSelector>)> {
    let position = written.iter().position(|selector| !is_within(selector, topology))?;
    let kept = written.iter().enumerate().filter(|(other, _)| *other != position);
    Some((position, kept.map(|(_, kept)| kept.clone()).collect()))
}

/// Every selector that can be narrowed to the placement, narrowed.
fn narrowed(written: &[LabelSelector], topology: &ResolvedTopology) -> Vec<LabelSelector> {
    let wanted = &topology.spec.placement.node_selector;
    let mut proposal: Vec<LabelSelector> = Vec::new();
    for selector in written {
        let mut narrowed = selector.clone();
        if !is_within(selector, topology) {
            if !selector.parse().is_ok_and(|selector| selector.overlaps(&topology.placement)) {
                continue;
            }
            // A requirement on a placement label says nothing more once its value is fixed.
            narrowed.match_expressions.retain(|requirement| !wanted.contains_key(requirement.key.as_str()));
            narrowed.match_labels.extend(wanted.clone());
        }
        if !proposal.contains(&narrowed) {
            proposal.push(narrowed);
        }
    }
    proposal
}

/// Whether an advertisement with these node selectors would be admitted.
fn fits(proposal: &[LabelSelector], topology: &ResolvedTopology) -> bool {
    let Ok(selectors) = parse_list(proposal) else {
        return false;
    };
    let contained =
        !selectors.is_empty() && selectors.iter().all(|selector| selector.is_within(&topology.placement));
    contained
        && (topology.spec.announcements.relation == Match::Contained
            || uncovered(&topology.placement, &selectors).is_ok_and(|gap: Option<Selector>| gap.is_none()))
}

/// YAML in flow style, ready to be pasted.
fn flow(selectors: &[LabelSelector]) -> String {
    let items: Vec<String> = selectors.iter().map(selector_flow).collect();
    format!("[{}]", items.join(", "))
}

fn selector_flow(selector: &LabelSelector) -> String {
    let mut fields = Vec::new();
    if !selector.match_labels.is_empty() {
        let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}: {}", scalar(value)));
        fields.push(format!("matchLabels: {{{}}}", labels.collect::<Vec<_>>().join(", ")));
    }
    if !selector.match_expressions.is_empty() {
        let requirements = selector.match_expressions.iter().map(|requirement| {
            let mut text = format!("key: {}, operator: {}", requirement.key, requirement.operator);
            if !requirement.values.is_empty() {
                let values: Vec<String> = requirement.values.iter().map(|value| scalar(value)).collect();
                text.push_str(&format!(", values: [{}]", values.join(", ")));
            }
            format!("{{{text}}}")
        });
        fields.push(format!("matchExpressions: [{}]", requirements.collect::<Vec<_>>().join(", ")));
    }
    format!("{{{}}}", fields.join(", "))
}

/// A label value as a YAML scalar: quoted where YAML would read something other than a string.
fn scalar(value: &str) -> String {
    let is_plain = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if is_plain { value.to_owned() } else { format!("\"{value}\"") }
}
