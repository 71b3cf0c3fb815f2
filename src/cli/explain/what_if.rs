//! The what-if flags of `explain`: changes that nobody has made yet.

use std::io::Read;
use std::path::PathBuf;

use super::super::render::printable;
use crate::manifests::{self, Problem};
use crate::snapshot::Inventory;
use crate::topology::GatewayTopologySpec;
use crate::what_if::{NodeLabel, ObjectReference, WhatIf};

/// The changes to suppose.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct WhatIfArgs {
    /// What if these objects were applied: a file, a directory or `-`; may be repeated
    ///
    /// An object is added, or replaces the one of its kind, namespace and name. A Service without a status keeps its
    /// addresses, unless it asks for others; a node keeps the labels, taints and conditions that the file does not give. Pods
    /// that the file adds take traffic only if the file has their `EndpointSlice`, too.
    #[arg(long, value_name = "PATH")]
    with: Vec<PathBuf>,
    /// What if this object were deleted: `KIND/NAME` or `KIND/NAMESPACE/NAME`; may be repeated
    ///
    /// A Service goes with its endpoints, a pod with the endpoints that lead to it, a node with its pods. Kinds: Service, Pod,
    /// Node, `EndpointSlice`, `IPAddressPool`, `AddressPool`, `L2Advertisement`, `BGPAdvertisement`, `GatewayTopology`.
    #[arg(long, value_name = "KIND/NAME")]
    without: Vec<ObjectReference>,
    /// What if this label of a node were set (`NODE:KEY=VALUE`) or removed (`NODE:KEY-`); may be repeated
    ///
    /// Running pods stay where they are, because Kubernetes checks a node selector only when it schedules a pod. A `DaemonSet`'s
    /// pods do follow labels, which is not predicted.
    #[arg(long, value_name = "NODE:LABEL")]
    label_node: Vec<NodeLabel>,
    /// What if this node went down, with its speaker and the endpoints on it; may be repeated
    ///
    /// Pods are not rescheduled: that takes minutes, and may have no place to go to.
    #[arg(long, value_name = "NODE")]
    fail_node: Vec<String>,
}

/// A state after changes.
#[derive(Debug)]
pub(super) struct Supposed {
    pub(super) inventory: Inventory,
    /// The changes in words, in the order in which they were applied.
    pub(super) changes: Vec<String>,
}

/// A change with its words.
pub(super) type Change = (String, WhatIf);

impl WhatIfArgs {
    /// The changes, in the order in which they are applied: objects are applied first, then deleted, then nodes are
    /// labelled, then they fail.
    ///
    /// # Errors
    /// One sentence for everything in the files that cannot be used.
    pub(super) fn load(&self, namespace: &str, stdin: &mut dyn Read) -> Result<Vec<Change>, Vec<String>> {
        let mut changes: Vec<Change> = Vec::new();
        let mut problems = Vec::new();
        for path in &self.with {
            match read(path, namespace, stdin) {
                Ok(objects) => {
                    let words = format!("the objects in `{}` applied", path.display());
                    changes.push((words, WhatIf::Apply(Box::new(objects))));
                }
                Err(found) => problems.extend(found),
            }
        }
        let deleted =
            self.without.iter().map(|object| (format!("{object} deleted"), WhatIf::Delete(object.clone())));
        changes.extend(deleted);
        changes.extend(self.label_node.iter().map(|label| (label.to_string(), WhatIf::Label(label.clone()))));
        let failed =
            self.fail_node.iter().map(|node| (format!("node `{node}` down"), WhatIf::Fail(node.clone())));
        changes.extend(failed);
        if problems.is_empty() { Ok(changes) } else { Err(problems) }
    }

    /// Whether files are read.
    pub(super) fn has_files(&self) -> bool {
        !self.with.is_empty()
    }
}

/// The topologies that changes apply.
pub(super) fn topologies(changes: &[Change]) -> impl Iterator<Item = &GatewayTopologySpec> {
    let applied = changes.iter().filter_map(|(_, change)| match change {
        WhatIf::Apply(objects) => Some(objects),
        _ => None,
    });
    applied.flat_map(|objects| objects.topologies.values()).map(|declared| &declared.spec)
}

/// The state after the changes; `None` without any.
///
/// # Errors
/// One sentence for every change that cannot be supposed.
pub(super) fn apply(changes: &[Change], before: &Inventory) -> Result<Option<Supposed>, Vec<String>> {
    if changes.is_empty() {
        return Ok(None);
    }
    let (mut inventory, mut problems) = (before.clone(), Vec::new());
    for (words, change) in changes {
        match inventory.clone().what_if(change) {
            Ok(after) => inventory = after,
            Err(error) => problems.push(format!("what if {words}: {error}")),
        }
    }
    if problems.is_empty() {
        let changes = changes.iter().map(|(words, _)| printable(words).into_owned()).collect();
        Ok(Some(Supposed { inventory, changes }))
    } else {
        Err(problems)
    }
}

/// The objects of one `--with`. Half of them would mislead, so any problem is an error.
fn read(path: &PathBuf, namespace: &str, mut stdin: &mut dyn Read) -> Result<Inventory, Vec<String>> {
    let loaded = manifests::load(std::slice::from_ref(path), &mut stdin);
    let (mut objects, problems) = manifests::changes(&loaded.documents, namespace);
    let problems: Vec<Problem> = loaded.problems.into_iter().chain(problems).collect();
    if !problems.is_empty() {
        return Err(problems.iter().map(ToString::to_string).collect());
    }
    objects.read.clear();
    if objects == Inventory::default() {
        return Err(vec![format!(
            "`{}` has no object that an outcome depends on, so it would change nothing",
            path.display()
        )]);
    }
    Ok(objects)
}
