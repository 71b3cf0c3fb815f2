//! Workloads: the controllers that keep pods running, and what their rollouts take away.

use serde::Deserialize;
use smol_str::SmolStr;

use super::{IntOrPercent, Metadata, Rounding};
use crate::labels::Labels;
use crate::labels::nulls::{or_default, strings};

/// The node label that spreading constraints name to keep pods on different nodes.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// A kind of workloads in the group `apps`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum WorkloadKind {
    /// `Deployment`.
    #[default]
    Deployment,
    /// `StatefulSet`.
    StatefulSet,
    /// `DaemonSet`.
    DaemonSet,
}

impl WorkloadKind {
    /// The kind as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// The way in which a workload replaces its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// Every pod is stopped before new ones start.
    Recreate,
    /// A pod is replaced when somebody deletes it.
    OnDelete,
    /// A few pods are replaced at a time.
    Rolling {
        /// `maxUnavailable`; `None` for the default of the kind.
        max_unavailable: Option<IntOrPercent>,
        /// `maxSurge`; `None` for the default of the kind.
        max_surge: Option<IntOrPercent>,
        /// The ordinal of the first pod of a `StatefulSet` that is replaced.
        partition: u32,
    },
}

/// The part of a workload that the availability of its pods depends on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Whole")]
pub struct Workload {
    /// The kind.
    pub kind: WorkloadKind,
    /// The labels of the pod template.
    pub template_labels: Labels,
    /// The node selector of the pod template.
    pub node_selector: Labels,
    /// `spec.replicas`; `None` in a manifest that leaves the number to an autoscaler. The API server stores 1 for a new object
    /// (`SetDefaults_Deployment`, pkg/apis/apps/v1/defaults.go), so that a stored one always has it.
    pub replicas: Option<u32>,
    /// The number of nodes that run a pod of a `DaemonSet`, by its status; `None` without a status.
    pub scheduled_nodes: Option<u32>,
    /// The way in which it replaces its pods.
    pub rollout: Rollout,
    /// Whether a topology spread constraint or a pod anti-affinity of the template names [`HOSTNAME`].
    pub is_spread_over_nodes: bool,
    /// Whether the template has topology spread constraints.
    pub has_spread_constraints: bool,
}

impl Workload {
    /// The number of pods that the workload runs; `None` if the object does not say it.
    #[must_use]
    pub const fn pods(&self) -> Option<u32> {
        match self.kind {
            WorkloadKind::DaemonSet => self.scheduled_nodes,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => self.replicas,
        }
    }

    /// The number of the workload's `pods` that a rollout may take away at once.
    ///
    /// A percentage of a Deployment is rounded down (`ResolveFenceposts`,
    /// pkg/controller/deployment/util/deployment_util.go), one of a `StatefulSet` down but to at least 1
    /// (`getStatefulSetMaxUnavailable`, pkg/controller/statefulset/stateful_set_utils.go), and one of a `DaemonSet` up
    /// (`UnavailableCount`, pkg/controller/daemon/util/daemonset_util.go; all of Kubernetes).
    #[must_use]
    pub fn unavailable_in_rollout(&self, pods: u32) -> u32 {
        let (max_unavailable, max_surge, partition) = match self.rollout {
            Rollout::Recreate => return pods,
            Rollout::OnDelete => return 0,
            Rollout::Rolling { max_unavailable, max_surge, partition } => {
                (max_unavailable, max_surge, partition)
            }
        };
        let one = IntOrPercent::Int(1);
        let taken = match self.kind {
            WorkloadKind::Deployment => {
                let quarter = IntOrPercent::Percent(25);
                let surge = max_surge.unwrap_or(quarter).of(pods, Rounding::Up);
                let unavailable = max_unavailable.unwrap_or(quarter).of(pods, Rounding::Down);
                if surge == 0 { unavailable.max(1) } else { unavailable }
            }
            WorkloadKind::StatefulSet => {
                let unavailable = max_unavailable.unwrap_or(one).of(pods, Rounding::Down).max(1);
                unavailable.min(pods.saturating_sub(partition))
            }
            // With a surge, an old pod is stopped when the new one on its node is available.
            WorkloadKind::DaemonSet if max_surge.is_some_and(|surge| surge.of(pods, Rounding::Up) > 0) => 0,
            WorkloadKind::DaemonSet => max_unavailable.unwrap_or(one).of(pods, Rounding::Up).max(1),
        };
        taken.min(pods)
    }

    /// `maxUnavailable` of the rollout, if it is given.
    #[must_use]
    pub const fn max_unavailable(&self) -> Option<IntOrPercent> {
        match self.rollout {
            Rollout::Rolling { max_unavailable, .. } => max_unavailable,
            Rollout::Recreate | Rollout::OnDelete => None,
        }
    }
}

/// The object as stored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole {
    kind: WorkloadKind,
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    /// The strategy of a Deployment.
    #[serde(deserialize_with = "or_default")]
    strategy: Strategy,
    /// The strategy of the other kinds.
    #[serde(deserialize_with = "or_default")]
    update_strategy: Strategy,
    #[serde(deserialize_with = "or_default")]
    template: Template,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: SmolStr,
    #[serde(deserialize_with = "or_default")]
    rolling_update: RollingUpdate,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_unavailable: Option<IntOrPercent>,
    max_surge: Option<IntOrPercent>,
    partition: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    desired_number_scheduled: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    #[serde(deserialize_with = "strings")]
    node_selector: Labels,
    #[serde(deserialize_with = "or_default")]
    topology_spread_constraints: Vec<Term>,
    #[serde(deserialize_with = "or_default")]
    affinity: Affinity,
}

/// A topology spread constraint, or a term of a pod anti-affinity.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "or_default")]
    topology_key: SmolStr,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    #[serde(deserialize_with = "or_default")]
    pod_anti_affinity: AntiAffinity,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AntiAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    required: Vec<Term>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    preferred: Vec<Weighted>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Weighted {
    #[serde(deserialize_with = "or_default")]
    pod_affinity_term: Term,
}

impl From<Whole> for Workload {
    fn from(whole: Whole) -> Self {
        let Whole { kind, metadata, spec, status } = whole;
        let strategy = if kind == WorkloadKind::Deployment { spec.strategy } else { spec.update_strategy };
        let PodSpec { node_selector, topology_spread_constraints: constraints, affinity } =
            spec.template.spec;
        let AntiAffinity { required, preferred } = affinity.pod_anti_affinity;
        let preferred = preferred.iter().map(|weighted| &weighted.pod_affinity_term);
        let mut terms = constraints.iter().chain(&required).chain(preferred);
        Self {
            kind,
            replicas: spec.replicas,
            scheduled_nodes: status.desired_number_scheduled,
            rollout: match strategy.kind.as_str() {
                "Recreate" => Rollout::Recreate,
                "OnDelete" => Rollout::OnDelete,
                _ => Rollout::Rolling {
                    // The API server drops the field of a StatefulSet unless the feature gate MaxUnavailableStatefulSet is
                    // on, and only a stored object shows that.
                    max_unavailable: strategy
                        .rolling_update
                        .max_unavailable
                        .filter(|_| kind != WorkloadKind::StatefulSet || metadata.generation > 0),
                    max_surge: strategy.rolling_update.max_surge,
                    partition: strategy.rolling_update.partition.unwrap_or_default(),
                },
            },
            is_spread_over_nodes: terms.any(|term| term.topology_key == HOSTNAME),
            has_spread_constraints: !constraints.is_empty(),
            template_labels: spec.template.metadata.labels,
            node_selector,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workload(kind: &str, spec: &Value) -> Workload {
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": kind, "spec": spec})).unwrap()
    }

    #[test]
    fn nulls_are_defaults() {
        let bare = workload("Deployment", &json!({}));
        assert_eq!((bare.replicas, bare.unavailable_in_rollout(4)), (None, 1), "25% of 4");
        let nulls = json!({
            "replicas": null, "strategy": {"type": null, "rollingUpdate": null},
            "template": {"metadata": null, "spec": {"affinity": null, "topologySpreadConstraints": null, "nodeSelector": null}},
        });
        assert_eq!(workload("Deployment", &nulls), bare);
    }

    #[test]
    fn a_rollout_of_a_deployment_rounds_its_surge_up_and_what_it_takes_away_down() {
        let taken = |unavailable: Value, surge: Value, pods| {
            let strategy = json!({"rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
            workload("Deployment", &json!({"strategy": strategy})).unavailable_in_rollout(pods)
        };
        for (unavailable, surge, pods, expected) in [
            (Value::Null, Value::Null, 1, 0),
            (Value::Null, Value::Null, 3, 0),
            (json!("50%"), Value::Null, 3, 1),
            (json!("99%"), Value::Null, 2, 1),
            (json!("100%"), Value::Null, 2, 2),
            (json!(5), Value::Null, 2, 2),
            // Both are zero after rounding.
            (json!("1%"), json!("0%"), 2, 1),
        ] {
            assert_eq!(
                taken(unavailable.clone(), surge.clone(), pods),
                expected,
                "{unavailable} {surge} of {pods}"
            );
        }
        let recreate = workload("Deployment", &json!({"strategy": {"type": "Recreate"}}));
        assert_eq!(recreate.unavailable_in_rollout(3), 3);
    }

    #[test]
    fn a_rollout_of_a_stateful_set_takes_one_pod_at_least_and_none_below_its_partition() {
        let taken = |rolling: Value, pods| {
            let spec = json!({"updateStrategy": {"rollingUpdate": rolling}});
            let stored = json!({"kind": "StatefulSet", "metadata": {"generation": 1}, "spec": spec});
            serde_json::from_value::<Workload>(stored).unwrap().unavailable_in_rollout(pods)
        };
        assert_eq!(taken(Value::Null, 3), 1);
        assert_eq!(taken(json!({"maxUnavailable": "30%"}), 3), 1, "0 after rounding");
        assert_eq!(taken(json!({"maxUnavailable": "99%"}), 3), 2);
        assert_eq!(taken(json!({"maxUnavailable": 3}), 3), 3);
        assert_eq!(taken(json!({"maxUnavailable": 3, "partition": 1}), 3), 2);
        let manifest = json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 3}}});
        let manifest = workload("StatefulSet", &manifest);
        assert_eq!(manifest.unavailable_in_rollout(3), 1, "the API server may drop the field");
        assert_eq!(
            workload("StatefulSet", &json!({"updateStrategy": {"type": "OnDelete"}}))
                .unavailable_in_rollout(3),
            0
        );
    }

    #[test]
    fn a_rollout_of_a_daemon_set_rounds_up_and_takes_no_pod_away_with_a_surge() {
        let taken = |rolling: Value, pods| {
            let spec = json!({"updateStrategy": {"rollingUpdate": rolling}});
            workload("DaemonSet", &spec).unavailable_in_rollout(pods)
        };
        assert_eq!(taken(Value::Null, 3), 1);
        assert_eq!(taken(json!({"maxUnavailable": "34%"}), 3), 2);
        assert_eq!(taken(json!({"maxUnavailable": "67%"}), 3), 3);
        assert_eq!(taken(json!({"maxUnavailable": 0, "maxSurge": "1%"}), 3), 0);
    }

    #[test]
    fn pods_are_spread_by_any_rule_that_names_the_host() {
        let spread = |spec: Value| {
            let held = workload("Deployment", &json!({"template": {"spec": spec}}));
            (held.is_spread_over_nodes, held.has_spread_constraints)
        };
        let host = json!({"topologyKey": HOSTNAME});
        let zone = json!({"topologyKey": "topology.kubernetes.io/zone"});
        let anti = |rules: Value| json!({"affinity": {"podAntiAffinity": rules}});
        assert_eq!(spread(json!({})), (false, false));
        assert_eq!(spread(json!({"topologySpreadConstraints": [zone]})), (false, true));
        assert_eq!(spread(json!({"topologySpreadConstraints": [zone, host]})), (true, true));
        assert_eq!(
            spread(anti(json!({"requiredDuringSchedulingIgnoredDuringExecution": [host]}))),
            (true, false)
        );
        let preferred = json!([{"weight": 1, "podAffinityTerm": host}]);
        assert_eq!(
            spread(anti(json!({"preferredDuringSchedulingIgnoredDuringExecution": preferred}))),
            (true, false)
        );
    }
}
