//! The rule `announcement-placement`: a gateway's address pools are announced from the gateway's nodes.
//!
//! With `externalTrafficPolicy: Local`, MetalLB announces an address only from a node that an advertisement selects
//! and that runs a ready gateway pod. If the two sets of nodes diverge, the address becomes silent without any event,
//! or some replicas get no traffic.

mod messages;
mod remedy;
#[cfg(test)]
mod tests;
mod union;

use super::Change;
use super::builder::VerdictBuilder;
use crate::labels::{TooComplex, Work};
use crate::node_relation::Relation;
use crate::objects::{AdvertisementSpec, BgpAdvertisement, L2Advertisement, Object};
use crate::snapshot::{Advertisement, Attachment, ObjectKey, Pool, ResolvedTopology, Snapshot};
use crate::topology::{Match, ServiceType};
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::AnnouncementPlacement;

/// Denies an advertisement of a gateway pool whose announcing nodes do not match the gateway nodes.
pub(super) fn check(
    change: &Change,
    new: &L2Advertisement,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    // MetalLB reads advertisements in its own namespace only; others announce nothing.
    let topologies: Vec<&ResolvedTopology> = snapshot.announced_from(&change.namespace).collect();
    let Some(strictest) = topologies.first().copied() else {
        return;
    };
    let old = match &change.old {
        Some(Object::L2Advertisement(old)) => Some(old),
        _ => None,
    };
    if old.is_some_and(|old| old.spec == new.spec) {
        verdict.warn_only();
    }
    // All comparisons share one limit, so that many topologies do not multiply it.
    let mut work = Work::default();
    let Some(parsed) = parse(&new.spec, &topologies, &mut work, verdict) else {
        return;
    };
    let before = old.and_then(|old| Advertisement::parse(&old.spec).ok());
    if before.as_ref().is_some_and(|before| before.is_same_as(&parsed)) {
        verdict.warn_only();
    }
    let judged = Judged { change, spec: &new.spec, parsed: &parsed, before: before.as_ref(), snapshot };
    for topology in topologies {
        if judged.against(topology, verdict, &mut work).is_err() {
            verdict.deny(topology, RULE, Reason::TooComplex, messages::too_complex(topology));
        }
    }
    judged.warn_of_unknown_pools(strictest, verdict);
}

/// Denies a `BGPAdvertisement` of a gateway pool that announces from other nodes than the gateway nodes.
///
/// Whether all advertisements together announce from every gateway node, the state shows: a BGP advertisement is often
/// for one rack, and layer 2 covers the rest.
pub(super) fn check_bgp(
    change: &Change,
    new: &BgpAdvertisement,
    snapshot: &Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) {
    let old = match &change.old {
        Some(Object::BgpAdvertisement(old)) => Some(old),
        _ => None,
    };
    if old.is_some_and(|old| old.spec == new.spec) {
        return;
    }
    let spec = new.spec.advertised();
    let topologies: Vec<&ResolvedTopology> = snapshot.announced_from(&change.namespace).collect();
    let mut work = Work::default();
    let Some(parsed) = parse(&spec, &topologies, &mut work, verdict) else {
        return;
    };
    let before = old.and_then(|old| Advertisement::parse(&old.spec.advertised()).ok());
    if before.as_ref().is_some_and(|before| before.is_same_as(&parsed)) {
        return;
    }
    let judged = Judged { change, spec: &spec, parsed: &parsed, before: before.as_ref(), snapshot };
    for topology in topologies {
        let compared = Announced::by(&parsed, topology, &mut work).and_then(|announced| {
            let pool = topology.pools.iter().find(|pool| announced.includes(pool));
            pool.map(|pool| Ok((pool, judged.compare(topology, &mut work)?))).transpose()
        });
        match compared {
            Ok(Some((pool, Relation::Differs { wider: wider @ Some(_), .. }))) => {
                let relation = Relation::Differs { wider, narrower: None };
                judged.report_relation(topology, pool, &relation, verdict);
            }
            Ok(Some((pool, Relation::Disjoint(outside)))) => {
                judged.report_relation(topology, pool, &Relation::Disjoint(outside), verdict);
            }
            Ok(_) => {}
            Err(TooComplex) => {
                verdict.deny(topology, RULE, Reason::TooComplex, messages::too_complex(topology));
            }
        }
    }
}

/// Parses an advertisement within the work that is left. What cannot be parsed is denied for one of the topologies; `None` then, and if
/// there is no topology.
fn parse(
    spec: &AdvertisementSpec,
    topologies: &[&ResolvedTopology],
    work: &mut Work,
    verdict: &mut VerdictBuilder<'_>,
) -> Option<Advertisement> {
    let strictest = *topologies.first()?;
    if work.parse(spec.size()).is_err() {
        verdict.deny(strictest, RULE, Reason::TooComplex, messages::too_complex(strictest));
        return None;
    }
    match Advertisement::parse(spec) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            // One invalid advertisement makes all of MetalLB's configuration stale, whatever its pool.
            let topology = topologies.iter().copied().max_by_key(|topology| topology.severity(RULE));
            verdict.deny(topology.unwrap_or(strictest), RULE, Reason::Invalid, messages::invalid(error));
            None
        }
    }
}

/// The judged advertisement before and after the change.
struct Judged<'a> {
    change: &'a Change,
    spec: &'a AdvertisementSpec,
    parsed: &'a Advertisement,
    before: Option<&'a Advertisement>,
    snapshot: &'a Snapshot,
}

impl Judged<'_> {
    fn against(
        &self,
        topology: &ResolvedTopology,
        verdict: &mut VerdictBuilder<'_>,
        work: &mut Work,
    ) -> Result<(), TooComplex> {
        let now = Announced::by(self.parsed, topology, work)?;
        if let Some(pool) = topology.pools.iter().find(|pool| now.includes(pool)) {
            if self.parsed.limits_interfaces() {
                verdict.warn(topology, RULE, Reason::Interfaces, messages::interfaces(pool));
            }
            let relation = self.compare(topology, work)?;
            self.report_relation(topology, pool, &relation, verdict);
            self.warn_without_local(topology, pool, verdict);
        }
        self.check_coverage(topology, &now, verdict, work)?;
        self.warn_of_undecided_pools(topology, verdict);
        Ok(())
    }

    /// Returns the relation of the announcing nodes to the gateway nodes: of all possible nodes, or of the current
    /// ones.
    fn compare(&self, topology: &ResolvedTopology, work: &mut Work) -> Result<Relation, TooComplex> {
        let (announcing, placement) = (self.parsed.nodes(), &topology.placement);
        match topology.spec.announcements.relation {
            Match::Exact => Relation::exact(announcing, placement, work),
            Match::Contained => Ok(Relation::contained(announcing, placement)),
            Match::LiveNodes => Relation::live(announcing, placement, self.snapshot.nodes(), work),
            // The union must contain the gateway nodes, and each advertisement may be wider.
            Match::Covering => Ok(Relation::Matches),
        }
    }

    /// Warns of an advertisement from other nodes than the gateway's, where only `Local` keeps these from announcing and is not
    /// enforced.
    fn warn_without_local(&self, topology: &ResolvedTopology, pool: &Pool, verdict: &mut VerdictBuilder<'_>) {
        let has_local = topology.enforces(Rule::ExternalTrafficPolicy)
            && topology.spec.service.types.contains(&ServiceType::LoadBalancer);
        if topology.spec.announcements.relation != Match::Covering || has_local {
            return;
        }
        if let Relation::Differs { wider: Some(outside), .. } | Relation::Disjoint(outside) =
            Relation::contained(self.parsed.nodes(), &topology.placement)
        {
            verdict.warn(
                topology,
                RULE,
                Reason::Wider,
                messages::wider_without_local(topology, pool, &outside),
            );
        }
    }

    fn report_relation(
        &self,
        topology: &ResolvedTopology,
        pool: &Pool,
        relation: &Relation,
        verdict: &mut VerdictBuilder<'_>,
    ) {
        let subject = messages::Subject {
            topology,
            pool,
            spec: self.spec,
            advertisement: self.parsed,
            nodes: self.snapshot.nodes(),
        };
        match relation {
            Relation::Matches => {}
            Relation::NoGatewayNode => {
                verdict.deny(topology, RULE, Reason::NoGatewayNode, messages::no_gateway_node(topology));
            }
            Relation::SelectsNothing => {
                verdict.deny(topology, RULE, Reason::Narrower, subject.selects_nothing());
            }
            Relation::Disjoint(outside) => {
                verdict.deny(topology, RULE, Reason::Disjoint, subject.disjoint(outside));
            }
            Relation::Differs { wider, narrower } => {
                if let Some(outside) = wider {
                    verdict.deny(topology, RULE, Reason::Wider, subject.wider(outside));
                }
                if let Some(witness) = narrower {
                    verdict.deny(topology, RULE, Reason::Narrower, subject.narrower(witness));
                }
            }
        }
    }

    /// Reports gateway nodes from which no advertisement announces a pool any longer.
    ///
    /// `Exact` already requires all gateway nodes of each advertisement. So with `Exact` it judges only pools that
    /// this advertisement no longer announces, and only warns, because the pool may be about to be deleted.
    fn check_coverage(
        &self,
        topology: &ResolvedTopology,
        announced: &Announced<'_>,
        verdict: &mut VerdictBuilder<'_>,
        work: &mut Work,
    ) -> Result<(), TooComplex> {
        let relation = topology.spec.announcements.relation;
        let key = self.change.key();
        let before = self.before.map(|before| Announced::by(before, topology, work)).transpose()?;
        for pool in &topology.pools {
            let is_left = !announced.includes(pool);
            let was_announced = before.as_ref().is_some_and(|before| before.includes(pool));
            if is_left && !was_announced || !is_left && relation == Match::Exact {
                continue;
            }
            let mut gap = |own| union::gap(topology, pool, &key, own, self.snapshot, work);
            let Some(now) = gap(Some(self.parsed))? else { continue };
            let then = gap(self.before)?;
            let is_lost = self.before.is_some() && then.is_none();
            let denies = match relation {
                Match::Exact => false,
                Match::Contained => is_lost,
                Match::LiveNodes | Match::Covering => is_lost || !is_left,
            };
            let details = messages::uncovered(topology, pool, now);
            if denies {
                verdict.deny(topology, RULE, Reason::Narrower, details);
            } else if is_lost || !is_left {
                verdict.warn(topology, RULE, Reason::Narrower, details);
            }
        }
        Ok(())
    }

    /// Warns of gateway pools with unknown labels, for which it is unknown whether this advertisement announces them.
    fn warn_of_undecided_pools(&self, topology: &ResolvedTopology, verdict: &mut VerdictBuilder<'_>) {
        for pool in &topology.pools {
            if self.parsed.announces(&pool.name, pool.labels.as_ref()) == Attachment::Unknown {
                verdict.warn(topology, RULE, Reason::UnknownPool, messages::undecided_pool(topology, pool));
            }
        }
    }

    /// Warns of a name without a pool: either it is a typo, or the pool will be created later.
    fn warn_of_unknown_pools(&self, topology: &ResolvedTopology, verdict: &mut VerdictBuilder<'_>) {
        for name in self.parsed.named_pools() {
            let key = ObjectKey { namespace: self.change.namespace.clone(), name: name.clone() };
            let is_gateway_pool =
                |topology: &ResolvedTopology| topology.pools.iter().any(|pool| pool.name == *name);
            if !self.snapshot.has_pool(&key)
                && !self.snapshot.announced_from(&key.namespace).any(is_gateway_pool)
            {
                let index = self.spec.pools.iter().position(|pool| pool == name);
                return verdict.warn(
                    topology,
                    RULE,
                    Reason::UnknownPool,
                    messages::unknown_pool(name, index),
                );
            }
        }
    }
}

/// The pools from which an advertisement announces Services of a gateway.
struct Announced<'a> {
    advertisement: &'a Advertisement,
    has_services: bool,
}

impl<'a> Announced<'a> {
    fn by(
        advertisement: &'a Advertisement,
        topology: &ResolvedTopology,
        work: &mut Work,
    ) -> Result<Self, TooComplex> {
        let questions = topology.services.len().saturating_add(topology.pools.len());
        work.spend(questions.saturating_mul(advertisement.service_and_pool_selectors()))?;
        let has_services = topology.services.iter().any(|labels| advertisement.applies_to(labels));
        Ok(Self { advertisement, has_services })
    }

    fn includes(&self, pool: &Pool) -> bool {
        self.has_services && self.advertisement.announces(&pool.name, pool.labels.as_ref()) == Attachment::Yes
    }
}
