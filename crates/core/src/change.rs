//! Changes: the part of an admission request that rules judge.

use k8s_openapi::jiff::Timestamp;

use crate::objects::Object;
pub use crate::operation::{Operation, Phase};
use crate::snapshot::ObjectKey;

/// The part of an admission request that rules judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The operation.
    pub operation: Operation,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name; empty if the API server generates it.
    pub name: String,
    /// The object as the API server would store it; the stored object for a deletion.
    pub object: Object,
    /// The object as stored before an update; `None` for other operations.
    pub old: Option<Object>,
    /// Whether a controller of the control plane deletes the object, because its namespace or its owner is gone.
    pub is_cleanup: bool,
    /// The time at which the change is judged; `None` if it is not known. Exceptions with an end count from it.
    pub time: Option<Timestamp>,
}

/// The users as which the namespace controller and the garbage collector delete objects: with a service account for each
/// controller, as kubeadm runs them, and without.
const CLEANERS: [&str; 3] = [
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:kube-controller-manager",
];

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
            is_cleanup: false,
            time: None,
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

    /// The deletion of a stored object by `user`.
    #[must_use]
    pub fn delete(namespace: impl Into<String>, name: impl Into<String>, object: Object, user: &str) -> Self {
        let is_cleanup = CLEANERS.contains(&user);
        Self { operation: Operation::Delete, is_cleanup, ..Self::create(namespace, name, object) }
    }

    /// Returns the change as it is judged at this time.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Self {
        Self { time: Some(time), ..self }
    }

    /// Whether the change stores an object: no rule that judges objects by themselves judges anything else.
    pub(crate) fn stores(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update)
    }

    /// The key of the object. Its name is empty if the API server generates it.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
