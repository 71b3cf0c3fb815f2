//! What keeps a pass from being complete.

use super::super::failure::words;
use super::secret::SecretName;
use crate::certs::authority::{AuthorityError, CaError, LeafError};

/// Why a pass was given up. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such Secret.
    #[error(
        "Secret `{0}` does not exist: create an empty one, as the chart does: `kubectl create secret generic {name} -n {namespace}`",
        name = .0.name,
        namespace = .0.namespace,
    )]
    NoSecret(SecretName),
    /// The Secret holds something, but no authority.
    #[error("Secret `{name}` holds no certificate authority: {problem}")]
    BadSecret {
        /// `namespace/name`.
        name: String,
        /// What is wrong with it.
        problem: AuthorityError,
    },
    /// There is no such webhook configuration.
    #[error(
        "{kind} `{name}` does not exist, so nobody calls this webhook: apply it, or correct `--webhook-configuration`"
    )]
    NoConfiguration {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The API server could not be reached, or refused.
    #[error("{object} cannot be {verb}: {cause}")]
    Api {
        /// The kind and the name.
        object: String,
        /// What was tried.
        verb: &'static str,
        /// Why it failed.
        cause: String,
    },
    /// No CA could be made.
    #[error("no certificate authority could be made")]
    Make(#[from] CaError),
    /// No leaf could be signed.
    #[error("no certificate could be signed")]
    Sign(#[from] LeafError),
    /// The API server took too long.
    #[error("the API server did not answer in time")]
    Timeout,
}

impl Error {
    pub(super) fn api(object: String, verb: &'static str, error: &kube::Error) -> Self {
        Self::Api { object, verb, cause: words(error) }
    }
}
