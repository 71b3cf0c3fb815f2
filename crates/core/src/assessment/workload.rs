//! Findings on the workloads that run a topology's gateway: whether one drain, one rollout or one crash stops every pod.
//!
//! A workload runs the gateway if its pod template carries the gateway's labels. A kind that was not read leads to no
//! finding, and makes no outcome Unknown, because MetalLB does not read workloads.

use std::collections::BTreeSet;

use serde_json::json;

use crate::election::MetalLb;
use crate::escape::excerpt;
use crate::labels::{Labels, carries};
use crate::objects::{DisruptionBudget, HOSTNAME, Rollout, Workload, WorkloadKind};
use crate::snapshot::{ObjectKey, ResolvedTopology, Source, in_namespace};

use super::address::Entry;
use super::cause::{join, names};
use super::{Cause, CauseCode, State, command};

/// A workload that runs the gateway.
#[derive(Clone, Copy)]
struct Owner<'i> {
    key: &'i ObjectKey,
    workload: &'i Workload,
    /// The number of pods that it should run; `None` if a manifest leaves it to an autoscaler.
    pods: Option<u32>,
}

impl Owner<'_> {
    fn told(&self) -> String {
        format!("{} `{}`", self.workload.kind.name(), excerpt(&self.key.name))
    }

    fn patch(&self, fields: &serde_json::Value) -> String {
        command::patch(self.workload.kind.name(), Some(&self.key.namespace), &self.key.name, fields)
    }
}

/// The number of pods of workloads together; `None` if that of one is not known.
fn total<'o>(owners: impl IntoIterator<Item = &'o Owner<'o>>) -> Option<u32> {
    owners.into_iter().try_fold(0_u32, |sum, owner| Some(sum.saturating_add(owner.pods?)))
}

impl<'i> State<'i> {
    /// The workloads that run the gateway; none if a kind was not read, because a workload of it may run the gateway, too.
    fn owners(&self, topology: &ResolvedTopology) -> Vec<Owner<'i>> {
        let kinds = [Source::Deployments, Source::StatefulSets, Source::DaemonSets];
        if !kinds.into_iter().all(|kind| self.has_read(kind)) {
            return Vec::new();
        }
        let namespace = &topology.spec.gateway.namespace;
        let mut owners = Vec::new();
        for workloads in self.inventory.workloads.values() {
            let claimed = in_namespace(workloads, namespace)
                .filter(|(_, workload)| topology.claims(&workload.template_labels));
            owners.extend(claimed.map(|(key, workload)| {
                let on_gateway_nodes = || {
                    let nodes = self.snapshot.nodes().selected(&topology.placement).count();
                    let is_known = workload.kind == WorkloadKind::DaemonSet && self.has_read(Source::Nodes);
                    u32::try_from(nodes).ok().filter(|_| is_known)
                };
                Owner { key, workload, pods: workload.pods().or_else(on_gateway_nodes) }
            }));
        }
        owners
    }

    /// Checks the number of replicas, the rollout strategy and the disruption budgets of the gateway's workloads.
    pub(super) fn check_workloads(&self, topology: &ResolvedTopology, findings: &mut Vec<Cause>) {
        let owners = self.owners(topology);
        findings.extend(one_replica(&owners));
        for owner in &owners {
            let others = total(
                owners
                    .iter()
                    .filter(|other| other.key != owner.key || other.workload.kind != owner.workload.kind),
            );
            if others == Some(0) {
                findings.extend(rollout(owner));
            }
        }
        if self.has_read(Source::DisruptionBudgets) {
            self.check_budgets(topology, &owners, findings);
        }
    }

    fn check_budgets(&self, topology: &ResolvedTopology, owners: &[Owner<'i>], findings: &mut Vec<Cause>) {
        // A drain leaves the pods of DaemonSets alone, and no budget makes two pods of one.
        let Some(total @ 2..) = total(owners) else { return };
        if owners.iter().any(|owner| owner.workload.kind == WorkloadKind::DaemonSet) {
            return;
        }
        let namespace = &topology.spec.gateway.namespace;
        let mut uncovered = Vec::new();
        let mut judged = BTreeSet::new();
        for owner in owners.iter().filter(|owner| owner.pods != Some(0)) {
            let labels = &owner.workload.template_labels;
            // Admission may have added labels to the pods that the template does not have.
            let is_pod = |held: &&Labels| topology.claims(held) && carries(held, labels);
            let pods: Vec<&Labels> =
                in_namespace(&self.inventory.pods, namespace).map(|(_, held)| held).filter(is_pod).collect();
            let budgets = in_namespace(&self.inventory.disruption_budgets, namespace);
            let covering: Vec<(&ObjectKey, &DisruptionBudget)> = budgets
                .filter(|(_, budget)| budget.covers(labels) || pods.iter().any(|pod| budget.covers(pod)))
                .collect();
            match covering[..] {
                [] => uncovered.push(owner),
                [(key, budget)] => {
                    if judged.insert(key) {
                        findings.extend(self.judge(key, budget, owner, total));
                    }
                }
                _ => findings.push(Cause::new(
                    CauseCode::DisruptionBudgetAllowsNone,
                    format!(
                        "PodDisruptionBudgets {} select the pods of {}, and the API server evicts no pod that several select, so that a drain of their nodes never completes",
                        names(covering.iter().map(|(key, _)| key.name.as_str())),
                        owner.told()
                    ),
                    "delete all but one of them, or narrow their selectors",
                )),
            }
        }
        if !uncovered.is_empty() {
            let wanted = &topology.spec.gateway.pod_labels;
            // A second budget for the same pods would block every drain.
            let create = (uncovered.len() == owners.len() && !wanted.is_empty()).then(|| {
                let first = uncovered.first().map_or("", |owner| owner.key.name.as_str());
                let name = command::free_name(&self.inventory.disruption_budgets, namespace, first);
                command::create_disruption_budget(namespace, &name, wanted)
            });
            let cause = Cause::new(
                CauseCode::NoDisruptionBudget,
                format!(
                    "no PodDisruptionBudget selects the pods of {}, so that drains of several nodes may evict all of them at once",
                    join(uncovered.iter().map(|owner| owner.told()))
                ),
                "create a PodDisruptionBudget with `maxUnavailable: 1` for the gateway's pods",
            );
            findings.push(cause.with(create));
        }
    }

    /// Judges the one budget that covers a gateway's pods, `total` in number. It may cover others, too.
    fn judge(
        &self,
        key: &ObjectKey,
        budget: &DisruptionBudget,
        owner: &Owner<'_>,
        total: u32,
    ) -> Option<Cause> {
        let workloads = self.inventory.workloads.values().flat_map(|held| in_namespace(held, &key.namespace));
        let covered = workloads.filter(|(_, workload)| budget.covers(&workload.template_labels));
        let others =
            covered.filter(|(held, workload)| *held != owner.key || workload.kind != owner.workload.kind);
        let expected = others.map(|(_, workload)| workload.pods());
        let expected =
            expected.chain([owner.pods]).try_fold(0_u32, |sum, pods| Some(sum.saturating_add(pods?)))?;
        let (name, limit) = (excerpt(&key.name), budget.limit);
        let (code, message) = match budget.allowed(expected) {
            0 => (
                CauseCode::DisruptionBudgetAllowsNone,
                format!(
                    "PodDisruptionBudget `{name}` allows no eviction of the pods of {}, because {limit} and there are {expected}, so that a drain of their nodes never completes",
                    owner.told()
                ),
            ),
            allowed if allowed >= total => (
                CauseCode::DisruptionBudgetAllowsAll,
                format!(
                    "PodDisruptionBudget `{name}` allows all {total} gateway pods to be evicted at once, because {limit}"
                ),
            ),
            _ => return None,
        };
        let fields = json!({"spec": {"minAvailable": null, "maxUnavailable": 1}});
        let patch = command::patch("PodDisruptionBudget", Some(&key.namespace), &key.name, &fields);
        Some(Cause::new(code, message, "set `spec.maxUnavailable: 1` instead").with([patch]))
    }

    /// Checks whether all ready gateway pods are on one gateway node, although there are others.
    pub(super) fn check_spread(
        &self,
        topology: &'i ResolvedTopology,
        metallb: &MetalLb<'_>,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        let owners = self.owners(topology);
        let runs_once_a_node = |owner: &Owner<'_>| owner.workload.kind == WorkloadKind::DaemonSet;
        if !self.has_read(Source::EndpointSlices) || owners.iter().any(runs_once_a_node) {
            return;
        }
        if owners.is_empty() || total(&owners).is_some_and(|total| total < 2) {
            return;
        }
        let running: BTreeSet<usize> =
            services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry))).collect();
        let gateway_nodes: BTreeSet<usize> = metallb.selected(&topology.placement).collect();
        let (Some(node), 1) = (running.first(), running.len()) else { return };
        let others: Vec<&str> = gateway_nodes
            .iter()
            .filter(|other| *other != node && !metallb.is_down(**other))
            .map(|other| metallb.node_name(*other))
            .collect();
        // A slice has the pods of one address family.
        let slices = services.iter().flat_map(|entry| self.balanced(*entry).slices);
        let counts =
            slices.map(|slice| slice.endpoints.iter().filter(|held| metallb.is_active(held)).count());
        let ready = counts.max().unwrap_or_default();
        let spreads = |owner: &&Owner<'_>| owner.workload.is_spread_over_nodes;
        let loose = owners.iter().find(|owner| owner.pods != Some(0) && !spreads(owner));
        if !gateway_nodes.contains(node) || others.is_empty() || ready < 2 {
            return;
        }
        let verb = if others.len() == 1 { "is a gateway node" } else { "are gateway nodes" };
        let message = format!(
            "all {ready} ready gateway pods run on `{}`, although {} {verb}, too",
            excerpt(metallb.node_name(*node)),
            names(others)
        );
        findings.push(match loose {
            Some(owner) => Cause::new(
                CauseCode::NotSpread,
                format!("{message}: the pod template of {} does not keep its pods on different nodes", owner.told()),
                format!("add a topology spread constraint over `{HOSTNAME}` to the pod template"),
            )
            .with((!owner.workload.has_spread_constraints).then(|| spread(topology, owner))),
            None => Cause::new(
                CauseCode::NotSpread,
                format!("{message}: the pod template spreads its pods, but only when they are scheduled"),
                "delete one of the pods, so that the scheduler chooses a node again; a preferred rule may lose, and a required one does not",
            ),
        });
    }
}

fn one_replica(owners: &[Owner<'_>]) -> Option<Cause> {
    let largest = owners.iter().max_by_key(|owner| owner.pods)?;
    if total(owners)? > 1 || owners.iter().any(|owner| owner.workload.kind == WorkloadKind::DaemonSet) {
        return None;
    }
    let told = largest.told();
    let message = if largest.pods == Some(0) {
        format!("{told} asks for no replica, so that no gateway pod runs")
    } else {
        format!(
            "{told} asks for one replica: a crash of the pod, or a drain of its node, silences the address until another pod is ready"
        )
    };
    let mend = "ask for two replicas or more; where a HorizontalPodAutoscaler scales the workload, raise its `minReplicas`";
    let scale = command::scale(largest.workload.kind.name(), &largest.key.namespace, &largest.key.name, 2);
    Some(Cause::new(CauseCode::OneReplica, message, mend).with([scale]))
}

/// The finding of a workload that runs every pod of the gateway. With one pod, its strategy is not what is wrong, unless it
/// is `Recreate`.
fn rollout(owner: &Owner<'_>) -> Option<Cause> {
    let Owner { workload, pods, .. } = owner;
    let told = owner.told();
    if workload.rollout == Rollout::Recreate && *pods != Some(0) {
        let message = format!(
            "{told} has the strategy `Recreate`: a rollout stops every pod before it starts new ones, and the address is silent until one is ready"
        );
        let fields = json!({"spec": {"strategy": {"type": "RollingUpdate"}}});
        let cause =
            Cause::new(CauseCode::RolloutStopsAll, message, "set `spec.strategy.type: RollingUpdate`");
        return Some(cause.with([owner.patch(&fields)]));
    }
    let pods = (*pods)?;
    if pods < 2 || workload.unavailable_in_rollout(pods) < pods {
        return None;
    }
    let strategy = if workload.kind == WorkloadKind::Deployment { "strategy" } else { "updateStrategy" };
    // The defaults never stop all of several pods.
    let limit = workload.max_unavailable()?;
    let fields = json!({"spec": {strategy: {"rollingUpdate": {"maxUnavailable": 1}}}});
    let cause = Cause::new(
        CauseCode::RolloutStopsAll,
        format!(
            "a rollout of {told} may stop all {pods} pods at once, because its `maxUnavailable` is `{limit}`"
        ),
        format!("set `spec.{strategy}.rollingUpdate.maxUnavailable: 1`"),
    );
    Some(cause.with([owner.patch(&fields)]))
}

/// The command that keeps a workload's pods on different nodes.
fn spread(topology: &ResolvedTopology, owner: &Owner<'_>) -> String {
    // The label of a rollout's pods: without it, the old pods would decide where the new ones go.
    let revision = match owner.workload.kind {
        WorkloadKind::Deployment => "pod-template-hash",
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => "controller-revision-hash",
    };
    let constraint = json!({
        "maxSkew": 1,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": topology.spec.gateway.pod_labels},
        "matchLabelKeys": [revision],
    });
    owner.patch(&json!({"spec": {"template": {"spec": {"topologySpreadConstraints": [constraint]}}}}))
}
