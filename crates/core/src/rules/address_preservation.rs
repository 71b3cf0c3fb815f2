//! The rule `address-preservation`: the assessment after a change must not be worse than before it.
//!
//! A request may look harmless and still end the announcement of an address: a deleted advertisement, a pool with other
//! labels or another range, a second configuration object that makes MetalLB reject the whole. So the state is assessed
//! before and after the change, for each topology that the object can concern, by the functions that status and
//! `lockstep explain` use.
//!
//! Findings are only about what gets worse. A change of a state that is already wrong passes.

mod around;
mod messages;

use super::Change;
use super::builder::{Details, VerdictBuilder};
use crate::assessment::{
    AddressAssessment, Assessor, Cause, CauseCode, GainedPools, Outcome, ServiceAssessment,
    TopologyAssessment,
};
use crate::change::Operation;
use crate::election::AssumedVersion;
use crate::objects::{Object, ServiceSpec};
use crate::snapshot::{
    Advertisement, Attachment, Inventory, ObjectKey, ResolvedTopology, Snapshot, in_namespace,
};
use crate::topology::ValidationAction;
use crate::verdict::{Reason, Rule};
use around::around;

const RULE: Rule = Rule::AddressPreservation;

/// Denies a change of MetalLB's configuration, or of a gateway's Service, after which an address of the gateway would be lost
/// or silent.
pub(super) fn check(change: &Change, snapshot: &Snapshot, verdict: &mut VerdictBuilder<'_>) {
    other_class(change, snapshot, verdict);
    let Some(state) = snapshot.state() else { return };
    let topologies = concerned(change, snapshot);
    if topologies.is_empty() || changes_nothing(change) {
        return;
    }
    if change.is_cleanup {
        verdict.warn_only();
    }
    let kinds = &state.metallb_kinds;
    let version = AssumedVersion::detect(&state.inventory, |kind| kinds.contains(kind)).version;
    let (before, after) = around(change, &state.inventory);
    let is_concerned = |name: &str| topologies.iter().any(|topology| *topology.name == *name);
    let snapshots = [&before, &after].map(|inventory| Snapshot::of_topologies(inventory, is_concerned));
    let known = Assessor::new(&before, &snapshots[0], version);
    let possible = Assessor::new(&after, &snapshots[1], version);
    let mut gained = GainedPools::default();
    for topology in topologies {
        let (Some(before), Some(after)) =
            (known.topology(&topology.name, None), possible.topology(&topology.name, None))
        else {
            continue;
        };
        let inventory = &state.inventory;
        let comparison = Comparison { change, inventory, topology, before: &before, after: &after };
        if comparison.report(verdict) || !change.stores() {
            continue;
        }
        // Which of several pools MetalLB chooses, nobody knows.
        if let Some((service, pool)) = possible.new_choice(&known, &topology.name, &mut gained) {
            let details = messages::other_choice(change, topology, &service, &pool);
            verdict.warn(topology, RULE, Reason::OtherPool, details);
        }
    }
}

/// Warns of a Service that leads to the gateway by a load balancer of another class: MetalLB does not serve it, and nothing is known
/// of who does.
fn other_class(change: &Change, snapshot: &Snapshot, verdict: &mut VerdictBuilder<'_>) {
    let Object::Service(service, _) = &change.object else { return };
    let Some(spec) = service.spec.as_ref().filter(|spec| spec.kind == "LoadBalancer" && change.stores())
    else {
        return;
    };
    let is_same =
        |old: &ServiceSpec| (&old.kind, &old.load_balancer_class) == (&spec.kind, &spec.load_balancer_class);
    if matches!(&change.old, Some(Object::Service(old, _)) if old.spec.as_ref().is_some_and(is_same)) {
        return;
    }
    for topology in snapshot.gateways_in(&change.namespace) {
        if topology.is_behind(spec) && !topology.is_announced(spec) {
            verdict.warn(topology, RULE, Reason::OtherClass, messages::other_class(topology, spec));
        }
    }
}

/// The number of nodes and Services from which assessing the state takes more than a fraction of a millisecond.
const LARGE: usize = 500;

/// Whether the change is judged by a large state.
pub(super) fn is_heavy(change: &Change, snapshot: &Snapshot) -> bool {
    let is_large =
        |inventory: &Inventory| inventory.nodes.len().saturating_add(inventory.load_balancers.len()) > LARGE;
    snapshot.state().is_some_and(|state| is_large(&state.inventory))
        && !changes_nothing(change)
        && !concerned(change, snapshot).is_empty()
}

/// The topologies whose assessment may differ after the change. Nearly all changes of pods and Services concern none.
fn concerned<'s>(change: &Change, snapshot: &'s Snapshot) -> Vec<&'s ResolvedTopology> {
    if change.object.kind().is_metallb() {
        return snapshot.announced_from(&change.namespace).collect();
    }
    let is_served = |topology: &ResolvedTopology, object: &Object| match object {
        Object::Service(service, _) => service.spec.as_ref().is_some_and(|spec| {
            topology.is_announced(spec) && snapshot.leads_to(topology, &change.key(), spec)
        }),
        _ => false,
    };
    let gateways = snapshot.gateways_in(&change.namespace);
    let objects = || change.old.iter().chain([&change.object]);
    gateways.filter(|topology| objects().any(|object| is_served(topology, object))).collect()
}

/// Whether an update leaves everything as it is that MetalLB reads.
fn changes_nothing(change: &Change) -> bool {
    match (&change.object, &change.old) {
        (Object::L2Advertisement(new), Some(Object::L2Advertisement(old))) => new.spec == old.spec,
        (Object::BgpAdvertisement(new), Some(Object::BgpAdvertisement(old))) => new.spec == old.spec,
        (Object::IpAddressPool(new), Some(Object::IpAddressPool(old))) => {
            new.spec == old.spec && new.metadata.labels == old.metadata.labels
        }
        (Object::AddressPool(new), Some(Object::AddressPool(old))) => new.spec == old.spec,
        (Object::Service(new, asks), Some(Object::Service(old, asked))) => {
            new.metadata.labels == old.metadata.labels
                && new.spec == old.spec
                && asks.annotations == asked.annotations
                && asks.requested_address == asked.requested_address
        }
        _ => false,
    }
}

/// The assessments of a topology before and after a change.
struct Comparison<'a> {
    change: &'a Change,
    inventory: &'a Inventory,
    topology: &'a ResolvedTopology,
    before: &'a TopologyAssessment,
    after: &'a TopologyAssessment,
}

/// An address whose outcome is worse after the change.
struct Loss<'a> {
    reason: Reason,
    denies: bool,
    service: &'a ServiceAssessment,
    address: &'a AddressAssessment,
    cause: &'a Cause,
}

impl<'a> Comparison<'a> {
    /// Reports what gets worse. Returns whether a finding denies, if the topology enforces the rule.
    fn report(&self, verdict: &mut VerdictBuilder<'_>) -> bool {
        let losses = self.losses();
        let mut is_denied = false;
        for reason in [Reason::Silent, Reason::Lost, Reason::Fragile, Reason::Unknown] {
            for denies in [true, false] {
                let mut same = losses.iter().filter(|loss| loss.reason == reason && loss.denies == denies);
                let Some(first) = same.next() else { continue };
                is_denied |= denies;
                self.add(reason, denies, messages::loss(self.change, first, same.count()), verdict);
            }
        }
        is_denied || self.report_misalignment(verdict)
    }

    fn add(&self, reason: Reason, denies: bool, details: Details, verdict: &mut VerdictBuilder<'_>) {
        let is_deletion = self.change.operation == Operation::Delete;
        let action = self.topology.spec.announcements.on_delete;
        if denies && !(is_deletion && action == ValidationAction::Warn) {
            verdict.deny(self.topology, RULE, reason, details);
        } else {
            verdict.warn(self.topology, RULE, reason, details);
        }
    }

    /// The addresses that get worse.
    fn losses(&self) -> Vec<Loss<'a>> {
        let mut losses = Vec::new();
        for service in &self.after.services {
            let known = self.before.services.iter().find(|known| known.key == service.key);
            let Some(known) = known else { continue };
            for address in &service.addresses {
                // A Service that loses its address, or gets another one, is compared with what it had.
                let same = known.addresses.iter().find(|before| before.address == address.address);
                let best = || known.addresses.iter().min_by_key(|before| before.outcome.rank());
                let before = same.or_else(best);
                let Some(cause) = address.outcome.cause() else { continue };
                if self.is_judged_otherwise(&service.key, cause) {
                    continue;
                }
                let Some((reason, denies)) =
                    before.and_then(|before| self.compare(&before.outcome, &address.outcome))
                else {
                    continue;
                };
                // The topology yields the pool to an older one, whose work goes on.
                let pool = before.and_then(|before| before.pool.as_ref());
                let denies =
                    denies && !pool.is_some_and(|pool| self.topology.yielded_pools.contains_key(pool));
                losses.push(Loss { reason, denies, service, address, cause });
            }
        }
        losses
    }

    /// Whether `external-traffic-policy` judges the outcome: the policy of the changed Service itself, and a shared address that
    /// a change to `Local` costs.
    fn is_judged_otherwise(&self, service: &ObjectKey, cause: &Cause) -> bool {
        let is_local = |object: &Object| match object {
            Object::Service(service, _) => service.spec.as_ref().map(ServiceSpec::is_local),
            _ => None,
        };
        let turns_local = is_local(&self.change.object) == Some(true)
            && self.change.old.as_ref().and_then(is_local) == Some(false);
        matches!(self.change.object, Object::Service(..))
            && *service == self.change.key()
            && (cause.code == CauseCode::NotLocal || turns_local && cause.code == CauseCode::NoAddress)
    }

    /// The reason of a finding and whether it denies; `None` for an outcome that is no worse.
    fn compare(&self, before: &Outcome, after: &Outcome) -> Option<(Reason, bool)> {
        // An input of `check` rarely has every kind, and its report of the topology says so.
        let is_creation = self.change.operation == Operation::Create;
        if let (Outcome::Unknown(_), Outcome::Unknown(_)) = (before, after) {
            // Other rules judge these by themselves.
            let is_judged = matches!(self.change.object, Object::L2Advertisement(_) | Object::Service(..));
            return (!(is_creation || is_judged && self.change.stores())).then_some((Reason::Unknown, false));
        }
        if !after.is_worse_than(before) {
            return None;
        }
        match after {
            Outcome::Lost(_) => Some((Reason::Lost, true)),
            Outcome::Silent(_) => Some((Reason::Silent, true)),
            Outcome::Fragile(cause) => {
                // A prefix draws the traffic of the address to nodes without a pod, and speakers that restart with a rejected
                // configuration announce nothing: neither takes a failing node.
                let is_loss = matches!(cause.code, CauseCode::Aggregated | CauseCode::ConfigurationRejected);
                Some((Reason::Fragile, is_loss))
            }
            Outcome::Unknown(_) => Some((Reason::Unknown, false)),
            Outcome::Preserved => None,
        }
    }

    /// The addresses that Services of the topology have before the change.
    fn addresses_before(&self) -> impl Iterator<Item = &'a AddressAssessment> {
        let all = self.before.services.iter().flat_map(|service| &service.addresses);
        all.filter(|address| address.address.is_some())
    }

    /// Whether something is deleted while an address is silent because no pod is ready. A gateway that was scaled to nothing gets pods
    /// again, and without its announcement it would stay silent.
    fn is_deleted_while_pods_are_awaited(&self) -> bool {
        let is_awaited = |address: &AddressAssessment| matches!(&address.outcome, Outcome::Silent(cause) if cause.code == CauseCode::NoEndpoint);
        self.change.operation == Operation::Delete && self.addresses_before().any(is_awaited)
    }

    /// Reports announcing nodes that no longer are the gateway nodes, and Services whose addresses come from a pool of no
    /// topology, where neither was so before.
    fn report_misalignment(&self, verdict: &mut VerdictBuilder<'_>) -> bool {
        let mut is_denied = false;
        let is_structural = matches!(self.change.object, Object::L2Advertisement(_)) && self.change.stores();
        let has_address = || self.addresses_before().next().is_some();
        if is_structural || self.change.operation == Operation::Delete && !has_address() {
            return false;
        }
        // An advertisement that names the pool was compared when it was created.
        let attaches =
            || !matches!(self.change.object, Object::IpAddressPool(_)) || self.attaches_advertisement();
        let is_bgp = matches!(self.change.object, Object::BgpAdvertisement(_));
        for finding in &self.after.findings {
            let reason = match finding.code {
                // `announcement-placement` compares the advertisement itself.
                CauseCode::Wider | CauseCode::Disjoint if is_bgp || !attaches() => continue,
                CauseCode::Wider => Reason::Wider,
                CauseCode::Disjoint => Reason::Disjoint,
                CauseCode::Narrower => Reason::Narrower,
                CauseCode::OtherPool => Reason::OtherPool,
                CauseCode::NotAdvertised | CauseCode::NoPool if self.is_deleted_while_pods_are_awaited() => {
                    Reason::Silent
                }
                _ => continue,
            };
            // Each Service has its own finding on its pool.
            let is_same = |before: &&Cause| {
                before.code == finding.code
                    && (finding.code != CauseCode::OtherPool || before.message == finding.message)
            };
            if !self.before.findings.iter().any(|before| is_same(&before)) {
                let details = messages::misaligned(self.change, self.topology, finding);
                self.add(reason, true, details, verdict);
                is_denied = true;
            }
        }
        is_denied
    }

    /// Whether the labels of the changed pool attach an advertisement that did not announce it before.
    fn attaches_advertisement(&self) -> bool {
        let Object::IpAddressPool(pool) = &self.change.object else { return false };
        let old = match &self.change.old {
            Some(Object::IpAddressPool(old)) => Some(&old.metadata.labels),
            _ => None,
        };
        let namespace = &self.change.namespace;
        let layer2 = in_namespace(&self.inventory.advertisements, namespace)
            .filter_map(|(_, spec)| Advertisement::parse(spec).ok());
        let bgp = in_namespace(&self.inventory.bgp_advertisements, namespace)
            .filter_map(|(_, spec)| Advertisement::parse(&spec.advertised()).ok());
        layer2.chain(bgp).any(|advertisement| {
            let announces = |labels| advertisement.announces(&self.change.name, labels) == Attachment::Yes;
            announces(Some(&pool.metadata.labels)) && !announces(old)
        })
    }
}
