//! A request, as far as rules see it.

use crate::objects::Object;

/// What a request does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It comes into being.
    Create,
    /// It is changed.
    Update,
    /// It goes.
    Delete,
    /// A connection to it is opened.
    Connect,
}

/// A request, as far as rules see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is done.
    pub operation: Operation,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name; empty where the API server makes one up.
    pub name: String,
    /// The object as it would be stored.
    pub object: Object,
    /// The object as it is stored; `None` for anything but an update.
    pub old: Option<Object>,
}

impl Change {
    /// Whether rules have nothing to say about the operation.
    pub(crate) fn is_out_of_scope(&self) -> bool {
        matches!(self.operation, Operation::Delete | Operation::Connect)
    }
}
