//! The remedy in a denial: the smallest change of an advertisement that would be allowed.

use serde_saphyr::FlowSeq;

use crate::labels::{LabelSelector, Selector, parse_list, uncovered};
use crate::snapshot::ResolvedTopology;
use crate::topology::Match;

/// The maximum length of a proposed list of selectors. Beyond it, the message proposes the placement.
const MAX_SELECTORS: usize = 8;
/// The maximum length of an examined list: a proposal compares each selector with every other one.
const MAX_EXAMINED: usize = 64;

/// Returns the remedy as a sentence. Every proposal is judged first, so that it would be allowed.
pub(super) fn propose(written: &[LabelSelector], topology: &ResolvedTopology) -> String {
    let written = if written.len() > MAX_EXAMINED { &[] } else { written };
    if let Some((removed, _)) =
        without_first_outsider(written, topology).filter(|(_, rest)| fits(rest, topology))
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

/// Whether the selector selects some nodes, and gateway nodes only.
fn is_within(selector: &LabelSelector, topology: &ResolvedTopology) -> bool {
    selector.parse().is_ok_and(|selector| !selector.is_empty() && selector.is_within(&topology.placement))
}

/// Returns the list without the first selector that selects nodes outside the placement, and its position; `None` if
/// there is none.
fn without_first_outsider(
    written: &[LabelSelector],
    topology: &ResolvedTopology,
) -> Option<(usize, Vec<LabelSelector>)> {
    let position = written.iter().position(|selector| !is_within(selector, topology))?;
    let kept = written.iter().enumerate().filter(|(other, _)| *other != position);
    Some((position, kept.map(|(_, kept)| kept.clone()).collect()))
}

/// Returns the selectors narrowed to the placement, without those that do not overlap it.
fn narrowed(written: &[LabelSelector], topology: &ResolvedTopology) -> Vec<LabelSelector> {
    let wanted = &topology.spec.placement.node_selector;
    let mut proposal: Vec<LabelSelector> = Vec::new();
    for selector in written {
        let mut narrowed = selector.clone();
        if !is_within(selector, topology) {
            if !selector.parse().is_ok_and(|selector| selector.overlaps(&topology.placement)) {
                continue;
            }
            // A requirement on a placement label adds nothing after its value is fixed.
            narrowed.match_expressions.retain(|requirement| !wanted.contains_key(requirement.key.as_str()));
            narrowed.match_labels.extend(wanted.clone());
        }
        if !proposal.contains(&narrowed) {
            proposal.push(narrowed);
        }
    }
    proposal
}

/// Whether an advertisement with these node selectors would be allowed.
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

/// Formats the selectors as YAML in flow style on one line, for copying.
fn flow(selectors: &[LabelSelector]) -> String {
    // Serializing lists, maps and strings never fails.
    serde_saphyr::to_string(&FlowSeq(selectors)).unwrap_or_default().trim_end().to_owned()
}
