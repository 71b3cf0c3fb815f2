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

    /// Whether rules have nothing to say about the operation.
    pub(crate) fn is_out_of_scope(&self) -> bool {
        matches!(self.operation, Operation::Delete | Operation::Connect)
    }
}
