//! The messages of `gateway-placement`.

use super::details;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::{Witness, in_words};
use crate::rules::builder::Details;
use crate::snapshot::ResolvedTopology;

/// The labels of the gateway nodes: `` `a=b`, `c=d` ``.
fn placement(topology: &ResolvedTopology) -> String {
    in_words(&topology.spec.placement.node_selector)
}

pub(super) fn conflict(topology: &ResolvedTopology, field: FieldPath, held: &str, wanted: &str) -> Details {
    details(
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

pub(super) fn overridden(topology: &ResolvedTopology, field: FieldPath, held: &str, wanted: &str) -> Details {
    details(
        field,
        format!(
            "admission replaces the node selector's value `{held}` by `{wanted}`, because topology `{}` overrides conflicts",
            topology.name
        ),
        format!("write `{wanted}` in the manifest, or remove the entry"),
    )
}

pub(super) fn not_placed(topology: &ResolvedTopology, field: FieldPath, witness: Witness) -> Details {
    let message = format!(
        "the gateway pod could run on a node {witness}, but topology `{}` places the gateway on nodes labelled {}",
        topology.name,
        placement(topology)
    );
    let help = format!("add {} to the pod's node selector", placement(topology));
    Details { witness: Some(witness), ..details(field, message, help) }
}

pub(super) fn unsatisfiable(topology: &ResolvedTopology, field: FieldPath) -> Details {
    details(
        field,
        format!(
            "the pod's required node affinity holds on no node labelled {}, where topology `{}` places the gateway: \
             the pod would stay Pending",
            placement(topology),
            topology.name
        ),
        "remove the expression that contradicts the placement from the affinity".to_owned(),
    )
}

pub(super) fn pinned(
    topology: &ResolvedTopology,
    field: FieldPath,
    node: &str,
    by_daemon_set: bool,
) -> Details {
    let message = format!(
        "the pod is bound to node `{}`, which is outside the placement of topology `{}`: it lacks {}",
        excerpt(node),
        topology.name,
        placement(topology)
    );
    let help = if by_daemon_set {
        format!(
            "add {} to the node selector of the DaemonSet's template: its controller binds pods to nodes before admission",
            placement(topology)
        )
    } else {
        "remove the node's name so that the scheduler chooses a node, or label the node".to_owned()
    };
    Details { nodes: vec![node.to_owned()], ..details(field, message, help) }
}

pub(super) fn mirror_pod(topology: &ResolvedTopology) -> Details {
    details(
        FieldPath::fields(["metadata", "annotations"]).key("kubernetes.io/config.mirror"),
        format!(
            "the pod is a static pod, which admission cannot place: topology `{}` does not hold for it",
            topology.name
        ),
        "run the gateway as a Deployment or a DaemonSet".to_owned(),
    )
}

pub(super) fn ambiguous(claims: &[&ResolvedTopology]) -> Details {
    let names =
        claims.iter().map(|topology| format!("`{}`", topology.name)).collect::<Vec<_>>().join(" and ");
    details(
        FieldPath::fields(["metadata", "labels"]),
        format!("topologies {names} claim this pod, and their placements may contradict each other"),
        "change `spec.gateway.podLabels` of the topologies so that each pod belongs to one".to_owned(),
    )
}
