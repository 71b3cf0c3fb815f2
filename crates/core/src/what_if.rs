//! Hypothetical changes (what-if): an [`Inventory`] as it would be after a change that nobody has made yet.
//!
//! A change does to the inventory what it would do to the cluster at once, before any controller but those of Kubernetes'
//! own endpoints has reacted: no pod is scheduled, moved or restarted, and MetalLB gives no new addresses.

mod apply;
mod delete;
mod error;
mod node;
mod reference;
#[cfg(test)]
mod tests;

pub use error::WhatIfError;
pub use node::{LabelEdit, NodeLabel};
pub use reference::{DeletableKind, ObjectReference};

use crate::snapshot::Inventory;

/// A change that nobody has made yet.
#[derive(Debug, Clone, PartialEq)]
pub enum WhatIf {
    /// Objects are applied: each is added, or replaces the one of its kind, namespace and name.
    ///
    /// Fields that the server owns survive if the objects do not give them: the addresses and cluster IPs of a Service, and
    /// the labels, taints and conditions of a node. A Service that asks for other addresses gets them, and one whose address
    /// belongs to another Service with which it does not share it has none. The namespaces and kinds that were not read stay
    /// unread.
    Apply(Box<Inventory>),
    /// An object is deleted, with what depends on it: a Service with its endpoints, a pod with the endpoints that lead to
    /// it, a node with its pods and their endpoints.
    Delete(ObjectReference),
    /// A label of a node is set or removed. Pods stay where they run (`IgnoredDuringExecution`).
    Label(NodeLabel),
    /// A node goes down: its endpoints no longer serve, and its speaker does not announce. Pods are not rescheduled.
    Fail(String),
}

impl Inventory {
    /// The inventory after a change.
    ///
    /// # Errors
    /// [`WhatIfError`] if the change names something that the inventory does not have, or if its effect is not known.
    pub fn what_if(mut self, change: &WhatIf) -> Result<Self, WhatIfError> {
        match change {
            WhatIf::Apply(objects) => self.apply(objects)?,
            WhatIf::Delete(object) => self.delete(object)?,
            WhatIf::Label(label) => self.label(label)?,
            WhatIf::Fail(node) => self.fail(node)?,
        }
        Ok(self)
    }
}
