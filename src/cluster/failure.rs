//! Failures of requests to the API server, and their texts.

use kube::core::Status;

use crate::error::chain;

/// The reason why a list or a watch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The API server does not serve the kind.
    Missing,
    /// The API server no longer has the changes since the requested version (410).
    Expired(String),
    /// Any other failure.
    Other(String),
}

impl From<&kube::Error> for Failure {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(&**status),
            error => Self::Other(words(error)),
        }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        match status.code {
            404 => Self::Missing,
            410 => Self::Expired(said(status)),
            _ => Self::Other(said(status)),
        }
    }
}

/// Returns the text of an error: the API server's own message and code, or every cause of a failed connection. kube's
/// own texts are the `{:?}` of the status, and an error without its causes.
pub(crate) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => said(status),
        kube::Error::Service(cause) => chain(&**cause),
        error => error.to_string(),
    }
}

fn said(status: &Status) -> String {
    format!("{} ({})", status.message, status.code)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn api_error(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    #[test]
    fn a_missing_kind_and_an_expired_version_are_recognized_by_their_codes() {
        let failure = |code, message: &str| Failure::from(&api_error(code, message));
        assert_eq!(failure(404, "404 page not found"), Failure::Missing);
        assert_eq!(failure(403, "alice may not"), Failure::Other("alice may not (403)".to_owned()));
        assert_eq!(failure(410, "too old"), Failure::Expired("too old (410)".to_owned()));
    }

    #[test]
    fn a_failed_connection_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Connect(#[source] io::Error);
        let refused = Connect(io::Error::other("connection refused"));
        let error = kube::Error::Service(Box::new(refused));
        assert_eq!(words(&error), "client error (Connect): connection refused");
    }
}
