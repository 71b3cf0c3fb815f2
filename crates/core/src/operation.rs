//! Operations and phases of admission, with the API server's names.

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
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::Connect];

    /// The operation in the API server's requests and in webhook configurations.
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

/// A phase of admission. The API server calls all mutating webhooks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Mutating admission: edits of the object before it is validated and stored.
    Mutate,
    /// Validating admission: whether the object may be stored without further edits.
    Validate,
}

impl Phase {
    /// Both phases, in the order in which the API server runs them.
    pub const ALL: [Self; 2] = [Self::Mutate, Self::Validate];

    /// The phase as a word in metrics, logs and records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }

    /// The path of the endpoint for this phase.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
        }
    }
}
