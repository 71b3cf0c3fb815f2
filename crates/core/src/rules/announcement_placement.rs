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
use crate::labels::TooComplex;
use crate::objects::{L2Advertisement, Object};
use crate::snapshot::{Advertisement, Attachment, ObjectKey, Pool, ResolvedTopology, Snapshot};
use crate::topology::Match;
use crate::verdict::{Reason, Rule};
use relation::Relation;

const RULE: Rule = Rule::AnnouncementPlacement;

/// Refuses an advertisement of a gateway pool whose nodes do not match the gateway's.
pub(super) fn check(change: &Change, new: &L2Advertisement, snapshot: &Snapshot, report: &mut Report) {
    // MetalLB reads advertisements in its own namespace only; anywhere else they announce nothing.
    let mut topologies = snapshot.announced_from(&change.namespace).peekable();
    let Some(strictest) = topologies.peek().copied() else {
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
            let topology = topologies.max_by_key(|topology| topology.severity(RULE)).unwrap_or(strictest);
            return report.deny(topology, RULE, Reason::Invalid, text::invalid(error));
        }
    };
    let before = old.and_then(|old| Advertisement::parse(&old.spec).ok());
    if before.as_ref().is_some_and(|before| before.is_same_as(&parsed)) {
        report.pass_with_warnings();
    }
    let judged = Judged { change, new, parsed: &parsed, before: before.as_ref(), snapshot };
    for topology in topologies {
        judged.against(topology, report);
    }
    judged.warn_of_unknown_pools(strictest, report);
}

/// An advertisement under judgement.
struct Judged<'a> {
    change: &'a Change,
    new: &'a L2Advertisement,
    parsed: &'a Advertisement,
    before: Option<&'a Advertisement>,
    snapshot: &'a Snapshot,
}

impl Judged<'_> {
    fn against(&self, topology: &ResolvedTopology, report: &mut Report) {
        let pools: Vec<&Pool> =
            topology.pools.iter().filter(|pool| is_announced(self.parsed, topology, pool)).collect();
        if let Some(pool) = pools.first() {
            if self.parsed.limits_interfaces() {
                report.warn(topology, RULE, Reason::Interfaces, text::interfaces(pool));
            }
            match self.compare(topology) {
                Ok(relation) => self.report_relation(topology, pool, &relation, report),
                Err(TooComplex) => {
                    return report.deny(topology, RULE, Reason::TooComplex, text::too_complex(topology));
                }
            }
        }
        self.check_coverage(topology, report);
        self.warn_of_undecided_pools(topology, report);
    }

    /// How the announcing nodes relate to the gateway nodes: of all nodes there could be, or of today's.
    fn compare(&self, topology: &ResolvedTopology) -> Result<Relation, TooComplex> {
        match topology.spec.announcements.relation {
            Match::Exact => Relation::exact(self.parsed.nodes(), &topology.placement),
            Match::Contained => Ok(Relation::contained(self.parsed.nodes(), &topology.placement)),
            Match::LiveNodes => Ok(Relation::live(self.parsed, &topology.placement, self.snapshot.nodes())),
        }
    }

    fn report_relation(
        &self,
        topology: &ResolvedTopology,
        pool: &Pool,
        relation: &Relation,
        report: &mut Report,
    ) {
        let subject = text::Subject {
            topology,
            pool,
            spec: &self.new.spec,
            advertisement: self.parsed,
            nodes: self.snapshot.nodes(),
        };
        match relation {
            Relation::Matches => {}
            Relation::NoGatewayNode => {
                report.deny(topology, RULE, Reason::NoGatewayNode, text::no_gateway_node(topology));
            }
            Relation::SelectsNothing => {
                report.deny(topology, RULE, Reason::Narrower, subject.selects_nothing());
            }
            Relation::Disjoint(outside) => {
                report.deny(topology, RULE, Reason::Disjoint, subject.disjoint(outside));
            }
            Relation::Differs { wider, narrower } => {
                if let Some(outside) = wider {
                    report.deny(topology, RULE, Reason::Wider, subject.wider(outside));
                }
                if let Some(witness) = narrower {
                    report.deny(topology, RULE, Reason::Narrower, subject.narrower(witness));
                }
            }
        }
    }

    /// Gateway nodes from which no advertisement announces a pool any more.
    ///
    /// `Exact` asks each advertisement for all gateway nodes already, so there only a pool that this one
    /// leaves is looked at, and only warned of: the pool may be about to go.
    fn check_coverage(&self, topology: &ResolvedTopology, report: &mut Report) {
        let relation = topology.spec.announcements.relation;
        let key = ObjectKey { namespace: self.change.namespace.clone(), name: self.change.name.clone() };
        for pool in &topology.pools {
            let is_left = !is_announced(self.parsed, topology, pool);
            let was_announced = self.before.is_some_and(|before| is_announced(before, topology, pool));
            if is_left && !was_announced || !is_left && relation == Match::Exact {
                continue;
            }
            let gap = |own| coverage::gap(topology, pool, &key, own, self.snapshot);
            let (Ok(now), Ok(then)) = (gap(Some(self.parsed)), gap(self.before)) else {
                return report.deny(topology, RULE, Reason::TooComplex, text::too_complex(topology));
            };
            let Some(now) = now else { continue };
            let is_lost = self.before.is_some() && then.is_none();
            let denies = match relation {
                Match::Exact => false,
                Match::Contained => is_lost,
                Match::LiveNodes => is_lost || !is_left,
            };
            let remark = text::uncovered(topology, pool, now);
            if denies {
                report.deny(topology, RULE, Reason::Narrower, remark);
            } else if is_lost || !is_left {
                report.warn(topology, RULE, Reason::Narrower, remark);
            }
        }
    }

    /// Pools of the gateway that this advertisement may or may not announce, because their labels are not known.
    fn warn_of_undecided_pools(&self, topology: &ResolvedTopology, report: &mut Report) {
        for pool in &topology.pools {
            if self.parsed.announces(&pool.name, pool.labels.as_ref()) == Attachment::Unknown {
                report.warn(topology, RULE, Reason::UnknownPool, text::undecided_pool(topology, pool));
            }
        }
    }

    /// A name that no pool has announces nothing; it is a typo, or the pool comes later.
    fn warn_of_unknown_pools(&self, topology: &ResolvedTopology, report: &mut Report) {
        for name in self.parsed.named_pools() {
            let key = ObjectKey { namespace: self.change.namespace.clone(), name: name.clone() };
            let is_gateway_pool =
                |topology: &ResolvedTopology| topology.pools.iter().any(|pool| pool.name == *name);
            if !self.snapshot.has_pool(&key)
                && !self.snapshot.announced_from(&key.namespace).any(is_gateway_pool)
            {
                let index = self.new.spec.pools.iter().position(|pool| pool == name);
                return report.warn(topology, RULE, Reason::UnknownPool, text::unknown_pool(name, index));
            }
        }
    }
}

/// Whether the advertisement announces the gateway's Services from this pool.
fn is_announced(advertisement: &Advertisement, topology: &ResolvedTopology, pool: &Pool) -> bool {
    advertisement.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes
        && topology.services.iter().any(|labels| advertisement.applies_to(labels))
}
