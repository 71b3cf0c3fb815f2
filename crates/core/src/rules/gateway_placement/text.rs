//! What the rule says to people.

use super::remark;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::Witness;
use crate::rules::report::Remark;
use crate::snapshot::ResolvedTopology;

/// The placement as a person would write it: `` `a=b`, `c=d` ``.
fn placement(topology: &ResolvedTopology) -> String {
    crate::rules::text::labels(&topology.spec.placement.node_selector)
}

pub(super) fn conflict(topology: &ResolvedTopology, field: FieldPath, held: &str, wanted: &str) -> Remark {
    remark(
        field,
        format!(
            "the pod asks for nodes with the value `{}`, but topology `{}` places the gateway on nodes labelled {}",
            excerpt(held),
            topology.name,
            placement(topology)
        ),
        format!("remove this entry of the node selector, or set it to `{wanted}`"),
    )
}

pub(super) fn overridden(topology: &ResolvedTopology, field: FieldPath, held: &str, wanted: &str) -> Remark {
    remark(
        field,
        format!(
            "the node selector's value `{held}` was replaced by `{wanted}`, as topology `{}` asks",
            topology.name
        ),
        format!("write `{wanted}` in the manifest, or remove the entry"),
    )
}

pub(super) fn not_placed(topology: &ResolvedTopology, field: FieldPath, witness: Witness) -> Remark {
    let message = format!(
        "the gateway pod could run on a node {witness}, but topology `{}` places the gateway on nodes labelled {}",
        topology.name,
        placement(topology)
    );
    let help = format!("add {} to the pod's node selector", placement(topology));
    Remark { witness: Some(witness), ..remark(field, message, help) }
}

pub(super) fn unsatisfiable(topology: &ResolvedTopology, field: FieldPath) -> Remark {
    remark(
        field,
        format!(
            "the pod's required node affinity holds on no node labelled {}, where topology `{}` places the gateway: \
             the pod would stay pending for ever",
            placement(topology),
            topology.name
        ),
        "remove the contradicting expression from the affinity".to_owned(),
    )
}

pub(super) fn pinned(
    topology: &ResolvedTopology,
    field: FieldPath,
    node: &str,
    by_daemon_set: bool,
) -> Remark {
    let message = format!(
        "the pod is bound to node `{}`, which is outside the placement of topology `{}`: it lacks {}",
        excerpt(node),
        topology.name,
        placement(topology)
    );
    let help = if by_daemon_set {
        format!(
            "add {} to the node selector of the DaemonSet's template: its pods are bound to nodes before they are admitted",
            placement(topology)
        )
    } else {
        "remove the node's name and let the scheduler choose, or label the node".to_owned()
    };
    Remark { nodes: vec![node.to_owned()], ..remark(field, message, help) }
}

pub(super) fn mirror_pod(topology: &ResolvedTopology) -> Remark {
    remark(
        FieldPath::fields(["metadata", "annotations"]).key("kubernetes.io/config.mirror"),
        format!("this is a static pod: topology `{}` cannot place it", topology.name),
        "run the gateway as a Deployment or a DaemonSet".to_owned(),
    )
}

pub(super) fn ambiguous(claims: &[&ResolvedTopology]) -> Remark {
    let names =
        claims.iter().map(|topology| format!("`{}`", topology.name)).collect::<Vec<_>>().join(" and ");
    remark(
        FieldPath::fields(["metadata", "labels"]),
        format!("topologies {names} claim this pod, and each places it by itself"),
        "change `spec.gateway.podLabels` of the topologies so that each pod belongs to one".to_owned(),
    )
}
