//! The relation of announcing nodes to the gateway nodes.

use crate::labels::{Selector, TooComplex, Witness, Work, uncovered_within};
use crate::snapshot::Nodes;

/// The relation of two sets of nodes, with witnesses.
#[derive(Debug)]
pub(crate) enum Relation {
    /// The relation is the one that the topology requires.
    Matches,
    /// No current node has the placement labels.
    NoGatewayNode,
    /// No node can announce: the selectors contradict each other.
    SelectsNothing,
    /// No announcing node can be a gateway node.
    Disjoint(Outside),
    /// The sets overlap. `wider` is a node that only announces, `narrower` a node that may only run the gateway.
    Differs { wider: Option<Outside>, narrower: Option<Witness> },
}

/// A node that would announce although it may not run the gateway.
#[derive(Debug)]
pub(crate) struct Outside {
    /// The position of the node selector that selects it.
    pub(crate) selector: usize,
    /// The node.
    pub(crate) witness: Witness,
}

impl Relation {
    /// Compares by `Exact`: both sets must be equal for every possible node.
    ///
    /// # Errors
    /// [`TooComplex`] if the comparison exceeds the work limit.
    pub(crate) fn exact(
        announcing: &[Selector],
        placement: &Selector,
        work: &mut Work,
    ) -> Result<Self, TooComplex> {
        let wider = first_outside(announcing, placement);
        if let Some(relation) = without_overlap(announcing, placement, &wider) {
            return Ok(relation);
        }
        let narrower = match uncovered_within(placement, announcing, work) {
            Ok(rest) => rest.and_then(|rest| rest.witness()),
            // The advertisement is certainly wider, which is enough to deny it.
            Err(TooComplex) if wider.is_some() => None,
            Err(TooComplex) => return Err(TooComplex),
        };
        Ok(Self::of(wider, narrower))
    }

    /// Compares by `Contained`: no announcing node may be outside the placement. It takes time linear in the size of
    /// the selectors.
    pub(crate) fn contained(announcing: &[Selector], placement: &Selector) -> Self {
        let wider = first_outside(announcing, placement);
        match without_overlap(announcing, placement, &wider) {
            // No node outside the placement announces. Whether any node announces is judged for the union of
            // advertisements.
            Some(Self::SelectsNothing) | None => Self::of(wider, None),
            Some(relation) => relation,
        }
    }

    /// Compares by `LiveNodes`: no current announcing node may be outside the placement.
    ///
    /// # Errors
    /// [`TooComplex`] if the comparison exceeds the work limit.
    pub(crate) fn live(
        announcing: &[Selector],
        placement: &Selector,
        nodes: &Nodes,
        work: &mut Work,
    ) -> Result<Self, TooComplex> {
        work.spend(nodes.examined(placement))?;
        if nodes.selected(placement).next().is_none() {
            return Ok(Self::NoGatewayNode);
        }
        for selector in announcing {
            work.spend(nodes.examined(selector))?;
        }
        let outside = announcing.iter().enumerate().find_map(|(position, selector)| {
            let (_, labels) = nodes.selected(selector).find(|(_, labels)| !placement.matches(labels))?;
            let witness = Witness { labels: labels.clone(), without: Default::default() };
            Some(Outside { selector: position, witness })
        });
        let announces = |labels| announcing.iter().any(|selector| selector.matches(labels));
        let overlaps = || nodes.selected(placement).any(|(_, labels)| announces(labels));
        Ok(match outside {
            Some(outside) => {
                work.spend(nodes.examined(placement).saturating_mul(announcing.len()))?;
                if overlaps() { Self::of(Some(outside), None) } else { Self::Disjoint(outside) }
            }
            None => Self::of(None, None),
        })
    }

    fn of(wider: Option<Outside>, narrower: Option<Witness>) -> Self {
        if wider.is_none() && narrower.is_none() { Self::Matches } else { Self::Differs { wider, narrower } }
    }
}

fn first_outside(announcing: &[Selector], placement: &Selector) -> Option<Outside> {
    announcing.iter().enumerate().find_map(|(position, selector)| {
        Some(Outside { selector: position, witness: selector.outside(placement)? })
    })
}

/// Returns the relation of two sets that do not overlap; `None` if they do.
fn without_overlap(
    announcing: &[Selector],
    placement: &Selector,
    wider: &Option<Outside>,
) -> Option<Relation> {
    if announcing.iter().any(|selector| selector.overlaps(placement)) {
        return None;
    }
    Some(match wider {
        Some(Outside { selector, witness }) => {
            Relation::Disjoint(Outside { selector: *selector, witness: witness.clone() })
        }
        None => Relation::SelectsNothing,
    })
}
