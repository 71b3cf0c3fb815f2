//! The rule `gateway-placement`: the gateway's pods run only on the gateway nodes.
//!
//! A node selector can be added only when a pod is created. The API server rejects a later addition, so a patch on an
//! update would break every label change of older pods (Kubernetes 1.36 `ValidatePodUpdate`).

mod affinity;
mod daemon_set;
mod messages;

pub(super) use daemon_set::{check_template, place_template};

use smol_str::SmolStr;

use super::builder::{Details, VerdictBuilder};
use super::{Change, Operation};
use crate::field::FieldPath;
use crate::labels::{Labels, Selector, Values};
use crate::objects::{Object, Pod, PodSpec};
use crate::snapshot::{ResolvedTopology, Snapshot};
use crate::topology::OnConflict;
use crate::verdict::{Edit, Reason, Rule};

const RULE: Rule = Rule::GatewayPlacement;

/// Adds the placement to a new gateway pod.
pub(super) fn place_pod(change: &Change, pod: &Pod, snapshot: &Snapshot, verdict: &mut VerdictBuilder<'_>) {
    if change.operation != Operation::Create {
        return;
    }
    let Some(topology) = claiming(change, pod, snapshot, verdict) else {
        return;
    };
    if pod.metadata.annotations.is_mirror {
        return verdict.warn(topology, RULE, Reason::MirrorPod, messages::mirror_pod(topology));
    }
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    at.place(topology, verdict);
    at.check_reachable(topology, snapshot, verdict);
}

/// Denies a gateway pod without the placement: a new pod, or one that new labels make a gateway pod.
pub(super) fn check_pod(change: &Change, pod: &Pod, snapshot: &Snapshot, verdict: &mut VerdictBuilder<'_>) {
    let was_claimed_by = |topology: &ResolvedTopology| matches!(&change.old, Some(Object::Pod(old)) if topology.claims(&old.metadata.labels));
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    match change.operation {
        Operation::Create => {
            let Some(topology) = claiming(change, pod, snapshot, verdict) else {
                return;
            };
            if pod.metadata.annotations.is_mirror {
                return;
            }
            at.check_placed(topology, verdict);
            at.check_reachable(topology, snapshot, verdict);
        }
        _ => {
            let joined = snapshot
                .claims(&change.namespace, &pod.metadata.labels)
                .filter(|topology| !was_claimed_by(topology));
            for topology in joined.filter(|_| !pod.metadata.annotations.is_mirror) {
                at.check_placed(topology, verdict);
            }
        }
    }
}

/// Returns the pod with the edits of [`place_pod`].
pub(super) fn placed(mut pod: Pod, edits: &[Edit]) -> Pod {
    for Edit { field, value, .. } in edits {
        let key = field.tokens().last();
        if let Some((key, value)) = key.zip(value.as_str()) {
            let selector = &mut pod.spec.get_or_insert_default().node_selector;
            selector.get_or_insert_default().insert(key.as_ref().into(), value.into());
        }
    }
    pod
}

/// Returns the only topology that claims the pod. If several claim it, the strictest denies the pod: their placements
/// may contradict each other, and a choice would be a guess.
fn claiming<'f>(
    change: &Change,
    pod: &'f Pod,
    snapshot: &'f Snapshot,
    verdict: &mut VerdictBuilder<'_>,
) -> Option<&'f ResolvedTopology> {
    let claims: Vec<&ResolvedTopology> = snapshot.claims(&change.namespace, &pod.metadata.labels).collect();
    let strictest = claims.iter().copied().max_by_key(|topology| topology.severity(RULE))?;
    if claims.len() > 1 {
        verdict.deny(strictest, RULE, Reason::Ambiguous, messages::ambiguous(&claims));
        return None;
    }
    Some(strictest)
}

/// A pod or a pod template, and its path in the object.
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

    /// Adds the missing labels to the node selector; denies values that contradict the placement.
    fn place(&self, topology: &ResolvedTopology, verdict: &mut VerdictBuilder<'_>) {
        // Validation names the exception.
        if verdict.exception(topology, RULE).is_some() {
            return;
        }
        for (key, value) in &topology.spec.placement.node_selector {
            let field = self.field(["spec", "nodeSelector"]).key(key);
            if let Some(held) = self.node_selector().and_then(|selector| selector.get(key)) {
                if held == value {
                    continue;
                }
                if topology.spec.placement.on_conflict == OnConflict::Deny {
                    verdict.deny(
                        topology,
                        RULE,
                        Reason::Conflict,
                        messages::conflict(topology, field, held, value),
                    );
                    continue;
                }
                if topology.enforces(RULE) {
                    verdict.warn(
                        topology,
                        RULE,
                        Reason::Conflict,
                        messages::overridden(topology, field.clone(), held, value),
                    );
                }
            }
            verdict.set(topology, RULE, Reason::Placed, field, value.as_str().into());
        }
    }

    /// Denies a pod that could be scheduled outside the placement.
    fn check_placed(&self, topology: &ResolvedTopology, verdict: &mut VerdictBuilder<'_>) {
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
                let details = messages::conflict(topology, field.key(key), held, value);
                return verdict.deny(topology, RULE, Reason::Conflict, details);
            }
        }
        verdict.deny(topology, RULE, Reason::NotPlaced, messages::not_placed(topology, field, witness));
    }

    /// Denies a pod that can run on no gateway node, or is bound to a node outside the placement.
    fn check_reachable(
        &self,
        topology: &ResolvedTopology,
        snapshot: &Snapshot,
        verdict: &mut VerdictBuilder<'_>,
    ) {
        // Every node is a gateway node.
        if topology.spec.placement.node_selector.is_empty() {
            return;
        }
        let Some(spec) = &self.pod.spec else { return };
        let outside = |name: &str| {
            snapshot.nodes().labels(name).is_some_and(|labels| !topology.placement.matches(labels))
        };
        if outside(&spec.node_name) {
            let details =
                messages::pinned(topology, self.field(["spec", "nodeName"]), &spec.node_name, false);
            return verdict.deny(topology, RULE, Reason::PinnedOutside, details);
        }
        let Some(terms) = spec.required_terms() else {
            return;
        };
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let field = || self.field(["spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"]);
        let pins = affinity::pinned_nodes(terms);
        if let Some(pinned) = pins.iter().find(|_| pins.iter().all(|name| outside(name))) {
            let details = messages::pinned(topology, field(), pinned, !self.is_template);
            return verdict.deny(topology, RULE, Reason::PinnedOutside, details);
        }
        if !terms.iter().any(|term| affinity::is_satisfiable(term, &topology.placement)) {
            verdict.deny(topology, RULE, Reason::Unsatisfiable, messages::unsatisfiable(topology, field()));
        }
    }
}

/// Builds the details of a finding without a witness.
fn details(field: FieldPath, message: String, help: String) -> Details {
    Details { field, message, help, ..Details::default() }
}
