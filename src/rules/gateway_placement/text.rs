//! What the rule says to people.

use super::remark;
use crate::facts::Site;
use crate::field::FieldPath;
use crate::labels::Witness;
use crate::rules::report::Remark;
use crate::text::excerpt;

/// The placement as a person would write it: `` `a=b`, `c=d` ``.
fn placement(site: &Site) -> String {
    crate::rules::text::labels(&site.spec.placement.node_selector)
}

pub(super) fn conflict(site: &Site, field: FieldPath, held: &str, wanted: &str) -> Remark {
    remark(
        field,
        format!(
            "the pod asks for nodes with the value `{}`, but topology `{}` places the gateway on nodes labelled {}",
            excerpt(held),
            site.name,
            placement(site)
        ),
        format!("remove this entry of the node selector, or set it to `{wanted}`"),
    )
}

pub(super) fn overridden(site: &Site, field: FieldPath, held: &str, wanted: &str) -> Remark {
    remark(
        field,
        format!(
            "the node selector's value `{held}` was replaced by `{wanted}`, as topology `{}` asks",
            site.name
        ),
        format!("write `{wanted}` in the manifest, or remove the entry"),
    )
}

pub(super) fn not_placed(site: &Site, field: FieldPath, witness: Witness) -> Remark {
    let message = format!(
        "the gateway pod could run on a node {witness}, but topology `{}` places the gateway on nodes labelled {}",
        site.name,
        placement(site)
    );
    let help = format!("add {} to the pod's node selector", placement(site));
    Remark { witness: Some(witness), ..remark(field, message, help) }
}

pub(super) fn unsatisfiable(site: &Site, field: FieldPath) -> Remark {
    remark(
        field,
        format!(
            "the pod's required node affinity holds on no node labelled {}, where topology `{}` places the gateway: \
             the pod would stay pending for ever",
            placement(site),
            site.name
        ),
        "remove the contradicting expression from the affinity".to_owned(),
    )
}

pub(super) fn pinned(site: &Site, field: FieldPath, node: &str, by_daemon_set: bool) -> Remark {
    let message = format!(
        "the pod is bound to node `{}`, which is outside the placement of topology `{}`: it lacks {}",
        excerpt(node),
        site.name,
        placement(site)
    );
    let help = if by_daemon_set {
        format!(
            "add {} to the node selector of the DaemonSet's template: its pods are bound to nodes before they are admitted",
            placement(site)
        )
    } else {
        "remove the node's name and let the scheduler choose, or label the node".to_owned()
    };
    Remark { nodes: vec![node.to_owned()], ..remark(field, message, help) }
}

pub(super) fn mirror_pod(site: &Site) -> Remark {
    remark(
        FieldPath::fields(["metadata", "annotations"]).key("kubernetes.io/config.mirror"),
        format!("this is a static pod: topology `{}` cannot place it", site.name),
        "run the gateway as a Deployment or a DaemonSet".to_owned(),
    )
}

pub(super) fn ambiguous(claims: &[&Site]) -> Remark {
    let names = claims.iter().map(|site| format!("`{}`", site.name)).collect::<Vec<_>>().join(" and ");
    remark(
        FieldPath::fields(["metadata", "labels"]),
        format!("topologies {names} claim this pod, and each places it by itself"),
        "change `spec.gateway.podLabels` of the topologies so that each pod belongs to one".to_owned(),
    )
}
