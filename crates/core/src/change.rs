//! Changes: the part of an admission request that rules judge.

use crate::objects::Object;
pub use crate::operation::{Operation, Phase};

/// The part of an admission request that rules judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The operation.
    pub operation: Operation,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name; empty if the API server generates it.
    pub name: String,
    /// The object as the API server would store it.
    pub object: Object,
    /// The object as stored before an update; `None` for other operations.
    pub old: Option<Object>,
}

impl Change {
    /// The creation of an object. It has no old object, whatever the request contains: otherwise a creation with a
    /// copy of itself as the old object would pass for an update that changes nothing.
    #[must_use]
    pub fn create(namespace: impl Into<String>, name: impl Into<String>, object: Object) -> Self {
        Self {
            operation: Operation::Create,
            namespace: namespace.into(),
            name: name.into(),
            object,
            old: None,
        }
    }

    /// The update of a stored object.
    #[must_use]
    pub fn update(
        namespace: impl Into<String>,
        name: impl Into<String>,
        object: Object,
        old: Option<Object>,
    ) -> Self {
        Self { operation: Operation::Update, old, ..Self::create(namespace, name, object) }
    }

    /// Whether no rule judges the operation.
    pub(crate) fn is_out_of_scope(&self) -> bool {
        matches!(self.operation, Operation::Delete | Operation::Connect)
    }
}
