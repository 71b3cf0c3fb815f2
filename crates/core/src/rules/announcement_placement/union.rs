//! The union of a pool's advertisements: whether together they announce it from every gateway node.
//!
//! MetalLB uses the union (MetalLB 0.16.2, `speaker/layer2_controller.go` `adsMatchNodeL2`), one per Service: an
//! advertisement with `serviceSelectors` counts only for the Services that it selects.

use std::collections::BTreeSet;

use crate::labels::{Labels, Selector, TooComplex, Witness, Work, uncovered_within};
use crate::snapshot::{Advertisement, Attachment, ObjectKey, Pool, ResolvedTopology, Snapshot};
use crate::topology::Match;

/// Returns a gateway node from which no advertisement announces the pool for some Service; `None` if there is none.
///
/// `own` replaces the advertisement `key` by its old form, its new form, or `None` for its absence. Services that the
/// same advertisements apply to are compared once.
///
/// # Errors
/// [`TooComplex`] if the comparison exceeds the work limit.
pub(super) fn gap(
    topology: &ResolvedTopology,
    pool: &Pool,
    key: &ObjectKey,
    own: Option<&Advertisement>,
    snapshot: &Snapshot,
    work: &mut Work,
) -> Result<Option<Witness>, TooComplex> {
    let others = pool.advertisements.iter().filter(|other| *other != key);
    let attached: Vec<&Advertisement> = others
        .filter_map(|other| snapshot.advertisement(other))
        .chain(own.filter(|own| own.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes))
        .collect();
    let selectors =
        attached.iter().fold(1, |sum: usize, one| sum.saturating_add(one.service_and_pool_selectors()));
    let mut compared: BTreeSet<Vec<usize>> = BTreeSet::new();
    for service in &topology.services {
        work.spend(selectors)?;
        let applying = attached.iter().enumerate().filter(|(_, one)| one.applies_to(service));
        let (positions, announcing): (Vec<usize>, Vec<&Advertisement>) = applying.unzip();
        if !compared.insert(positions) {
            continue;
        }
        let gap = match topology.spec.announcements.relation {
            Match::LiveNodes => live_gap(topology, &announcing, snapshot, work)?,
            Match::Exact | Match::Contained | Match::Covering => {
                let selectors = announcing.iter().flat_map(|advertisement| advertisement.nodes());
                let rest = uncovered_within(&topology.placement, selectors, work)?;
                rest.as_ref().and_then(Selector::witness)
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
    work: &mut Work,
) -> Result<Option<Witness>, TooComplex> {
    let selectors = announcing.iter().fold(1, |sum: usize, one| sum.saturating_add(one.nodes().len()));
    work.spend(snapshot.nodes().examined(&topology.placement).saturating_mul(selectors))?;
    let is_silent =
        |labels: &Labels| !announcing.iter().any(|advertisement| advertisement.announces_from(labels));
    let silent = snapshot.nodes().selected(&topology.placement).find(|(_, labels)| is_silent(labels));
    Ok(silent.map(|(_, labels)| Witness { labels: labels.clone(), without: Default::default() }))
}
