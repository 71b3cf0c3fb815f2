//! Changes: the part of an admission request that rules judge.

use crate::objects::Object;

/// The operation of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The object is created.
    Create,
    /// The object is updated.
    Update,
    /// The object is deleted.
    Delete,
    /// A connection to the object is opened.
    Connect,
}

impl Operation {
    /// The word in the API server's requests and in webhook configurations.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Which of the API server's two admission phases asks. The API server calls all mutating webhooks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Mutating admission: what must be changed in the object before it is validated and stored.
    Mutate,
    /// Validating admission: whether the object may be stored as it is.
    Validate,
}

impl Phase {
    /// Both phases, in the order in which the API server runs them.
    pub const ALL: [Self; 2] = [Self::Mutate, Self::Validate];

    /// The word in metrics, logs and records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }

    /// The path of the endpoint that answers this phase.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
        }
    }
}

/// The part of an admission request that rules judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The operation.
    pub operation: Operation,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name; empty where the API server generates it.
    pub name: String,
    /// The object as the API server would store it.
    pub object: Object,
    /// The object as stored before an update; `None` for other operations.
    pub old: Option<Object>,
}

impl Change {
    /// The creation of an object. A creation has no old object, whatever the request carries: otherwise a creation that
    /// brings itself as its old object would pass for an update that changes nothing.
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
