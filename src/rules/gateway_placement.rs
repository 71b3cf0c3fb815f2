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
use crate::facts::{Facts, Site};
use crate::field::FieldPath;
use crate::labels::{Labels, Selector, Values};
use crate::objects::{Object, Pod, PodSpec};
use crate::topology::OnConflict;
use crate::verdict::{Reason, Rule};

const RULE: Rule = Rule::GatewayPlacement;

/// Adds the placement to a new gateway pod.
pub(super) fn place_pod(change: &Change, pod: &Pod, facts: &Facts, report: &mut Report) {
    if change.operation != Operation::Create {
        return;
    }
    let Some(site) = claiming(change, pod, facts, report) else {
        return;
    };
    if pod.metadata.is_mirror {
        return report.warn(site, RULE, Reason::MirrorPod, text::mirror_pod(site));
    }
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    at.place(site, report);
    at.check_reachable(site, facts, report);
}

/// Refuses a gateway pod without the placement: a new one, or one that becomes a gateway pod by its labels.
pub(super) fn check_pod(change: &Change, pod: &Pod, facts: &Facts, report: &mut Report) {
    let was_claimed_by =
        |site: &Site| matches!(&change.old, Some(Object::Pod(old)) if site.claims(&old.metadata.labels));
    if pod.metadata.is_terminating {
        report.pass_with_warnings();
    }
    let at = PodAt { pod, root: FieldPath::default(), is_template: false };
    match change.operation {
        Operation::Create => {
            let Some(site) = claiming(change, pod, facts, report) else {
                return;
            };
            if pod.metadata.is_mirror {
                return;
            }
            at.check_placed(site, report);
            at.check_reachable(site, facts, report);
        }
        _ => {
            let joined =
                facts.claims(&change.namespace, &pod.metadata.labels).filter(|site| !was_claimed_by(site));
            for site in joined.filter(|_| !pod.metadata.is_mirror) {
                at.check_placed(site, report);
            }
        }
    }
}

/// The one topology that claims the pod. More than one is refused, by the strictest of them: their
/// placements may contradict each other, and to pick one would be a guess.
fn claiming<'f>(change: &Change, pod: &'f Pod, facts: &'f Facts, report: &mut Report) -> Option<&'f Site> {
    let claims: Vec<&Site> = facts.claims(&change.namespace, &pod.metadata.labels).collect();
    let strictest = claims.iter().copied().max_by_key(|site| site.severity(RULE))?;
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
    fn place(&self, site: &Site, report: &mut Report) {
        for (key, value) in &site.spec.placement.node_selector {
            let field = self.field(["spec", "nodeSelector"]).key(key);
            if let Some(held) = self.node_selector().and_then(|selector| selector.get(key)) {
                if held == value {
                    continue;
                }
                if site.spec.placement.on_conflict == OnConflict::Deny {
                    report.deny(site, RULE, Reason::Conflict, text::conflict(site, field, held, value));
                    continue;
                }
                if site.enforces(RULE) {
                    report.warn(
                        site,
                        RULE,
                        Reason::Conflict,
                        text::overridden(site, field.clone(), held, value),
                    );
                }
            }
            report.set(site, RULE, Reason::Placed, field, value.as_str().into());
        }
    }

    /// Refuses a pod that could be scheduled outside the placement.
    fn check_placed(&self, site: &Site, report: &mut Report) {
        let empty = PodSpec::default();
        let spec = self.pod.spec.as_ref().unwrap_or(&empty);
        let mut admitted = Selector::default();
        for (key, value) in spec.node_selector.iter().flatten() {
            admitted.require(key, Values::one_of([value.clone()]));
        }
        let Some(witness) = affinity::admits_outside(spec, &admitted, &site.placement) else {
            return;
        };
        let field = self.field(["spec", "nodeSelector"]);
        let held = |key: &SmolStr| spec.node_selector.as_ref().and_then(|selector| selector.get(key));
        for (key, value) in &site.spec.placement.node_selector {
            if let Some(held) = held(key).filter(|held| *held != value) {
                let remark = text::conflict(site, field.key(key), held, value);
                return report.deny(site, RULE, Reason::Conflict, remark);
            }
        }
        report.deny(site, RULE, Reason::NotPlaced, text::not_placed(site, field, witness));
    }

    /// Refuses a pod that could run on no gateway node, or that is bound to a node that is none.
    fn check_reachable(&self, site: &Site, facts: &Facts, report: &mut Report) {
        let Some(spec) = &self.pod.spec else { return };
        let outside =
            |name: &str| facts.nodes().labels(name).is_some_and(|labels| !site.placement.matches(labels));
        if outside(&spec.node_name) {
            let remark = text::pinned(site, self.field(["spec", "nodeName"]), &spec.node_name, false);
            return report.deny(site, RULE, Reason::PinnedOutside, remark);
        }
        let Some(terms) = spec.required_terms() else {
            return;
        };
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let field = || self.field(["spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"]);
        let pins = affinity::pinned_nodes(terms);
        if let Some(pinned) = pins.iter().find(|_| pins.iter().all(|name| outside(name))) {
            let remark = text::pinned(site, field(), pinned, !self.is_template);
            return report.deny(site, RULE, Reason::PinnedOutside, remark);
        }
        if !terms.iter().any(|term| affinity::is_satisfiable(term, &site.placement)) {
            report.deny(site, RULE, Reason::Unsatisfiable, text::unsatisfiable(site, field()));
        }
    }
}

/// What a remark about the placement has in common.
fn remark(field: FieldPath, message: String, help: String) -> Remark {
    Remark { field, message, help, ..Remark::default() }
}
