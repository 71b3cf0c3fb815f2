//! Whether all advertisements of a pool together announce it from every gateway node.
//!
//! They are a union (MetalLB 0.16.2, `speaker/layer2_controller.go` `adsMatchNodeL2`), one per Service:
//! an advertisement with `serviceSelectors` counts only for the Services that it selects.

use crate::facts::{Advertisement, Attachment, Facts, ObjectKey, Pool, Site};
use crate::labels::{Labels, Selector, TooComplex, Witness, uncovered};
use crate::topology::Match;

/// A gateway node from which the pool is not announced, for some Service; `None` if there is none.
///
/// `own` stands in for the advertisement `key`: as it was, as it shall be, or not at all.
pub(super) fn gap(
    site: &Site,
    pool: &Pool,
    key: &ObjectKey,
    own: Option<&Advertisement>,
    facts: &Facts,
) -> Result<Option<Witness>, TooComplex> {
    for service in &site.services {
        let others = pool.advertisements.iter().filter(|other| *other != key);
        let announcing: Vec<&Advertisement> = others
            .filter_map(|other| facts.advertisement(other))
            .chain(own.filter(|own| own.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes))
            .filter(|advertisement| advertisement.applies_to(service))
            .collect();
        let gap = match site.spec.announcements.relation {
            Match::LiveNodes => live_gap(site, &announcing, facts),
            Match::Exact | Match::Contained => {
                let selectors = announcing.iter().flat_map(|advertisement| advertisement.nodes());
                uncovered(&site.placement, selectors)?.as_ref().and_then(Selector::witness)
            }
        };
        if gap.is_some() {
            return Ok(gap);
        }
    }
    Ok(None)
}

fn live_gap(site: &Site, announcing: &[&Advertisement], facts: &Facts) -> Option<Witness> {
    let is_silent =
        |labels: &Labels| !announcing.iter().any(|advertisement| advertisement.announces_from(labels));
    let (_, labels) = facts.nodes().selected(&site.placement).find(|(_, labels)| is_silent(labels))?;
    Some(Witness { labels: labels.clone(), without: Default::default() })
}
