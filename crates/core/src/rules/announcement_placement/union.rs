//! The union of a pool's advertisements: whether together they announce it from every gateway node.
//!
//! MetalLB uses the union (MetalLB 0.16.2, `speaker/layer2_controller.go` `adsMatchNodeL2`), one per Service: an
//! advertisement with `serviceSelectors` counts only for the Services that it selects.

use crate::labels::{Labels, Selector, TooComplex, Witness, uncovered};
use crate::snapshot::{Advertisement, Attachment, ObjectKey, Pool, ResolvedTopology, Snapshot};
use crate::topology::Match;

/// Returns a gateway node from which no advertisement announces the pool for some Service; `None` if there is none.
///
/// `own` replaces the advertisement `key` by its old form, its new form, or `None` for its absence.
///
/// # Errors
/// [`TooComplex`] if the comparison exceeds the work limit.
pub(super) fn gap(
    topology: &ResolvedTopology,
    pool: &Pool,
    key: &ObjectKey,
    own: Option<&Advertisement>,
    snapshot: &Snapshot,
) -> Result<Option<Witness>, TooComplex> {
    for service in &topology.services {
        let others = pool.advertisements.iter().filter(|other| *other != key);
        let announcing: Vec<&Advertisement> = others
            .filter_map(|other| snapshot.advertisement(other))
            .chain(own.filter(|own| own.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes))
            .filter(|advertisement| advertisement.applies_to(service))
            .collect();
        let gap = match topology.spec.announcements.relation {
            Match::LiveNodes => live_gap(topology, &announcing, snapshot),
            Match::Exact | Match::Contained => {
                let selectors = announcing.iter().flat_map(|advertisement| advertisement.nodes());
                uncovered(&topology.placement, selectors)?.as_ref().and_then(Selector::witness)
            }
        };
        if gap.is_some() {
            return Ok(gap);
        }
    }
    Ok(None)
}

fn live_gap(
    topology: &ResolvedTopology,
    announcing: &[&Advertisement],
    snapshot: &Snapshot,
) -> Option<Witness> {
    let is_silent =
        |labels: &Labels| !announcing.iter().any(|advertisement| advertisement.announces_from(labels));
    let (_, labels) = snapshot.nodes().selected(&topology.placement).find(|(_, labels)| is_silent(labels))?;
    Some(Witness { labels: labels.clone(), without: Default::default() })
}
