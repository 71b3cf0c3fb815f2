//! `gateway-placement`: the gateway's pods run only on the gateway nodes.
//!
//! A node selector can be added only while a pod is created: the API server refuses it later, so patching
//! an update would break every label change of older pods (Kubernetes 1.36 `ValidatePodUpdate`).

mod affinity;
mod daemon_set;
mod text;

pub(super) use daemon_set::{check_template, place_template};

use smol_str::SmolStr;

use super::report::{Remark, Report};
use super::{Change, Operation};
use crate::field::FieldPath;
use crate::labels::{Labels, Selector, Values};
use crate::objects::{Object, Pod, PodSpec};
use crate::snapshot::{ResolvedTopology, Snapshot};
use crate::topology::OnConflict;
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::GatewayPlacement;

/// Adds the placement to a new gateway pod.
pub(super) fn place_pod(change: &Change, pod: &Pod, snapshot: &Snapshot, report: &mut Report) {
    if change.operation != Operation::Create {
        return;
    }
    let Some(topology) = claiming(change, pod, snapshot, report) else {
        return;
    };
    if pod.metadata.is_mirror {
        return report.warn(topology, RULE, Reason::MirrorPod, text::mirror_pod(topology));
    }
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    at.place(topology, report);
    at.check_reachable(topology, snapshot, report);
}

/// Refuses a gateway pod without the placement: a new one, or one that becomes a gateway pod by its labels.
pub(super) fn check_pod(change: &Change, pod: &Pod, snapshot: &Snapshot, report: &mut Report) {
    let was_claimed_by = |topology: &ResolvedTopology| matches!(&change.old, Some(Object::Pod(old)) if topology.claims(&old.metadata.labels));
    if pod.metadata.is_terminating {
        report.pass_with_warnings();
    }
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    match change.operation {
        Operation::Create => {
            let Some(topology) = claiming(change, pod, snapshot, report) else {
                return;
            };
            if pod.metadata.is_mirror {
                return;
            }
            at.check_placed(topology, report);
            at.check_reachable(topology, snapshot, report);
        }
        _ => {
            let joined = snapshot
                .claims(&change.namespace, &pod.metadata.labels)
                .filter(|topology| !was_claimed_by(topology));
            for topology in joined.filter(|_| !pod.metadata.is_mirror) {
                at.check_placed(topology, report);
            }
        }
    }
}

/// The one topology that claims the pod. More than one is refused, by the strictest of them: their
/// placements may contradict each other, and to pick one would be a guess.
fn claiming<'f>(
    change: &Change,
    pod: &'f Pod,
    snapshot: &'f Snapshot,
    report: &mut Report,
) -> Option<&'f ResolvedTopology> {
    let claims: Vec<&ResolvedTopology> = snapshot.claims(&change.namespace, &pod.metadata.labels).collect();
    let strictest = claims.iter().copied().max_by_key(|topology| topology.severity(RULE))?;
    if claims.len() > 1 {
        report.deny(strictest, RULE, Reason::Ambiguous, text::ambiguous(&claims));
        return None;
    }
    Some(strictest)
}

/// A pod, or the template of pods, and where it is in its object.
struct PodAt<'p> {
    pod: &'p Pod,
    root: FieldPath,
    is_template: bool,
}

impl PodAt<'_> {
    fn field(&self, names: impl IntoIterator<Item = &'static str>) -> FieldPath {
        names.into_iter().fold(self.root.clone(), FieldPath::field)
    }

    fn node_selector(&self) -> Option<&Labels> {
        self.pod.spec.as_ref()?.node_selector.as_ref()
    }

    /// Adds what is missing of the placement; refuses what contradicts it.
    fn place(&self, topology: &ResolvedTopology, report: &mut Report) {
        for (key, value) in &topology.spec.placement.node_selector {
            let field = self.field(["spec", "nodeSelector"]).key(key);
            if let Some(held) = self.node_selector().and_then(|selector| selector.get(key)) {
                if held == value {
                    continue;
                }
                if topology.spec.placement.on_conflict == OnConflict::Deny {
                    report.deny(
                        topology,
                        RULE,
                        Reason::Conflict,
                        text::conflict(topology, field, held, value),
                    );
                    continue;
                }
                if topology.enforces(RULE) {
                    report.warn(
                        topology,
                        RULE,
                        Reason::Conflict,
                        text::overridden(topology, field.clone(), held, value),
                    );
                }
            }
            report.set(topology, RULE, Reason::Placed, field, value.as_str().into());
        }
    }

    /// Refuses a pod that could be scheduled outside the placement.
    fn check_placed(&self, topology: &ResolvedTopology, report: &mut Report) {
        let empty = PodSpec::default();
        let spec = self.pod.spec.as_ref().unwrap_or(&empty);
        let mut admitted = Selector::default();
        for (key, value) in spec.node_selector.iter().flatten() {
            admitted.require(key, Values::one_of([value.clone()]));
        }
        let Some(witness) = affinity::admits_outside(spec, &admitted, &topology.placement) else {
            return;
        };
        let field = self.field(["spec", "nodeSelector"]);
        let held = |key: &SmolStr| spec.node_selector.as_ref().and_then(|selector| selector.get(key));
        for (key, value) in &topology.spec.placement.node_selector {
            if let Some(held) = held(key).filter(|held| *held != value) {
                let remark = text::conflict(topology, field.key(key), held, value);
                return report.deny(topology, RULE, Reason::Conflict, remark);
            }
        }
        report.deny(topology, RULE, Reason::NotPlaced, text::not_placed(topology, field, witness));
    }

    /// Refuses a pod that could run on no gateway node, or that is bound to a node that is none.
    fn check_reachable(&self, topology: &ResolvedTopology, snapshot: &Snapshot, report: &mut Report) {
        let Some(spec) = &self.pod.spec else { return };
        let outside = |name: &str| {
            snapshot.nodes().labels(name).is_some_and(|labels| !topology.placement.matches(labels))
        };
        if outside(&spec.node_name) {
            let remark = text::pinned(topology, self.field(["spec", "nodeName"]), &spec.node_name, false);
            return report.deny(topology, RULE, Reason::PinnedOutside, remark);
        }
        let Some(terms) = spec.required_terms() else {
            return;
        };
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let field = || self.field(["spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"]);
        let pins = affinity::pinned_nodes(terms);
        if let Some(pinned) = pins.iter().find(|_| pins.iter().all(|name| outside(name))) {
            let remark = text::pinned(topology, field(), pinned, !self.is_template);
            return report.deny(topology, RULE, Reason::PinnedOutside, remark);
        }
        if !terms.iter().any(|term| affinity::is_satisfiable(term, &topology.placement)) {
            report.deny(topology, RULE, Reason::Unsatisfiable, text::unsatisfiable(topology, field()));
        }
    }
}

/// What a remark about the placement has in common.
fn remark(field: FieldPath, message: String, help: String) -> Remark {
    Remark { field, message, help, ..Remark::default() }
}
