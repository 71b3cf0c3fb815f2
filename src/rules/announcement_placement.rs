//! `announcement-placement`: a gateway's address pools are announced from the gateway's nodes.
//!
//! With `externalTrafficPolicy: Local`, MetalLB announces an address only from a node that an advertisement
//! selects and that runs a ready gateway pod. Where the two sets drift apart, the address goes silent
//! without any event, or replicas are stranded.

mod coverage;
mod relation;
mod remedy;
#[cfg(test)]
mod tests;
mod text;

use super::Change;
use super::report::Report;
use crate::facts::{Advertisement, Attachment, Facts, ObjectKey, Pool, Site};
use crate::labels::TooComplex;
use crate::objects::{L2Advertisement, Object};
use crate::topology::Match;
use crate::verdict::{Reason, Rule};
use relation::Relation;

const RULE: Rule = Rule::AnnouncementPlacement;

/// Refuses an advertisement of a gateway pool whose nodes do not match the gateway's.
pub(super) fn check(change: &Change, new: &L2Advertisement, facts: &Facts, report: &mut Report) {
    // MetalLB reads advertisements in its own namespace only; anywhere else they announce nothing.
    let mut sites = facts.announced_from(&change.namespace).peekable();
    let Some(strictest) = sites.peek().copied() else {
        return;
    };
    let old = match &change.old {
        Some(Object::L2Advertisement(old)) => Some(old),
        _ => None,
    };
    if new.metadata.is_terminating || old.is_some_and(|old| old.spec == new.spec) {
        report.pass_with_warnings();
    }
    let parsed = match Advertisement::parse(&new.spec) {
        Ok(parsed) => parsed,
        Err(error) => {
            // One bad advertisement makes all of MetalLB's configuration stale, whichever pool it is about.
            let site = sites.max_by_key(|site| site.severity(RULE)).unwrap_or(strictest);
            return report.deny(site, RULE, Reason::Invalid, text::invalid(error));
        }
    };
    let before = old.and_then(|old| Advertisement::parse(&old.spec).ok());
    if before.as_ref().is_some_and(|before| before.is_same_as(&parsed)) {
        report.pass_with_warnings();
    }
    let judged = Judged { change, new, parsed: &parsed, before: before.as_ref(), facts };
    for site in sites {
        judged.against(site, report);
    }
    judged.warn_of_unknown_pools(strictest, report);
}

/// An advertisement under judgement.
struct Judged<'a> {
    change: &'a Change,
    new: &'a L2Advertisement,
    parsed: &'a Advertisement,
    before: Option<&'a Advertisement>,
    facts: &'a Facts,
}

impl Judged<'_> {
    fn against(&self, site: &Site, report: &mut Report) {
        let pools: Vec<&Pool> =
            site.pools.iter().filter(|pool| is_announced(self.parsed, site, pool)).collect();
        if let Some(pool) = pools.first() {
            if self.parsed.limits_interfaces() {
                report.warn(site, RULE, Reason::Interfaces, text::interfaces(pool));
            }
            match self.compare(site) {
                Ok(relation) => self.report_relation(site, pool, &relation, report),
                Err(TooComplex) => {
                    return report.deny(site, RULE, Reason::TooComplex, text::too_complex(site));
                }
            }
        }
        self.check_coverage(site, report);
        self.warn_of_undecided_pools(site, report);
    }

    /// How the announcing nodes relate to the gateway nodes: of all nodes there could be, or of today's.
    fn compare(&self, site: &Site) -> Result<Relation, TooComplex> {
        match site.spec.announcements.relation {
            Match::Exact => Relation::exact(self.parsed.nodes(), &site.placement),
            Match::Contained => Ok(Relation::contained(self.parsed.nodes(), &site.placement)),
            Match::LiveNodes => Ok(Relation::live(self.parsed, &site.placement, self.facts.nodes())),
        }
    }

    fn report_relation(&self, site: &Site, pool: &Pool, relation: &Relation, report: &mut Report) {
        let subject = text::Subject {
            site,
            pool,
            spec: &self.new.spec,
            advertisement: self.parsed,
            nodes: self.facts.nodes(),
        };
        match relation {
            Relation::Matches => {}
            Relation::NoGatewayNode => {
                report.deny(site, RULE, Reason::NoGatewayNode, text::no_gateway_node(site));
            }
            Relation::SelectsNothing => report.deny(site, RULE, Reason::Narrower, subject.selects_nothing()),
            Relation::Disjoint(outside) => {
                report.deny(site, RULE, Reason::Disjoint, subject.disjoint(outside));
            }
            Relation::Differs { wider, narrower } => {
                if let Some(outside) = wider {
                    report.deny(site, RULE, Reason::Wider, subject.wider(outside));
                }
                if let Some(witness) = narrower {
                    report.deny(site, RULE, Reason::Narrower, subject.narrower(witness));
                }
            }
        }
    }

    /// Gateway nodes from which no advertisement announces a pool any more.
    ///
    /// `Exact` asks each advertisement for all gateway nodes already, so there only a pool that this one
    /// leaves is looked at, and only warned of: the pool may be about to go.
    fn check_coverage(&self, site: &Site, report: &mut Report) {
        let relation = site.spec.announcements.relation;
        let key = ObjectKey { namespace: self.change.namespace.clone(), name: self.change.name.clone() };
        for pool in &site.pools {
            let is_left = !is_announced(self.parsed, site, pool);
            let was_announced = self.before.is_some_and(|before| is_announced(before, site, pool));
            if is_left && !was_announced || !is_left && relation == Match::Exact {
                continue;
            }
            let gap = |own| coverage::gap(site, pool, &key, own, self.facts);
            let (Ok(now), Ok(then)) = (gap(Some(self.parsed)), gap(self.before)) else {
                return report.deny(site, RULE, Reason::TooComplex, text::too_complex(site));
            };
            let Some(now) = now else { continue };
            let is_lost = self.before.is_some() && then.is_none();
            let denies = match relation {
                Match::Exact => false,
                Match::Contained => is_lost,
                Match::LiveNodes => is_lost || !is_left,
            };
            let remark = text::uncovered(site, pool, now);
            if denies {
                report.deny(site, RULE, Reason::Narrower, remark);
            } else if is_lost || !is_left {
                report.warn(site, RULE, Reason::Narrower, remark);
            }
        }
    }

    /// Pools of the gateway that this advertisement may or may not announce, because their labels are not known.
    fn warn_of_undecided_pools(&self, site: &Site, report: &mut Report) {
        for pool in &site.pools {
            if self.parsed.announces(&pool.name, pool.labels.as_ref()) == Attachment::Unknown {
                report.warn(site, RULE, Reason::UnknownPool, text::undecided_pool(site, pool));
            }
        }
    }

    /// A name that no pool has announces nothing; it is a typo, or the pool comes later.
    fn warn_of_unknown_pools(&self, site: &Site, report: &mut Report) {
        for name in self.parsed.named_pools() {
            let key = ObjectKey { namespace: self.change.namespace.clone(), name: name.clone() };
            let is_gateway_pool = |site: &Site| site.pools.iter().any(|pool| pool.name == *name);
            if !self.facts.has_pool(&key) && !self.facts.announced_from(&key.namespace).any(is_gateway_pool) {
                let index = self.new.spec.pools.iter().position(|pool| pool == name);
                return report.warn(site, RULE, Reason::UnknownPool, text::unknown_pool(name, index));
            }
        }
    }
}

/// Whether the advertisement announces the gateway's Services from this pool.
fn is_announced(advertisement: &Advertisement, site: &Site, pool: &Pool) -> bool {
    advertisement.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes
        && site.services.iter().any(|labels| advertisement.applies_to(labels))
}
