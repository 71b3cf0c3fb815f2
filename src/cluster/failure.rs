//! Why a request or a watch failed, in words for people.

use kube::core::Status;
use kube::runtime::watcher;

use crate::error::chain;

/// Why something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The API server does not know the kind.
    Missing,
    /// It no longer knows what has changed since the version that the watch stood at.
    Expired(String),
    /// Anything else.
    Other(String),
}

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::from(error),
            watcher::Error::WatchError(status) => Self::from(&**status),
            watcher::Error::NoResourceVersion => Self::Other(error.to_string()),
        }
    }
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

/// What the API server, or the way to it, says. The client's own text of an answer holds `{:?}` of it, and that of
/// the way to it leaves out why.
pub(super) fn words(error: &kube::Error) -> String {
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
    fn a_missing_kind_and_a_version_that_is_too_old_are_told_by_their_codes() {
        let failure = |error| Failure::from(&watcher::Error::InitialListFailed(error));
        assert_eq!(failure(api_error(404, "404 page not found")), Failure::Missing);
        let forbidden = Failure::Other("alice may not (403)".to_owned());
        assert_eq!(failure(api_error(403, "alice may not")), forbidden);
        let expired = Failure::Expired("too old (410)".to_owned());
        let too_old = Status::failure("too old", "Expired").with_code(410).boxed();
        assert_eq!(Failure::from(&watcher::Error::WatchError(too_old)), expired);
        let odd = Failure::from(&watcher::Error::NoResourceVersion);
        assert_eq!(odd, Failure::Other(watcher::Error::NoResourceVersion.to_string()));
    }

    #[test]
    fn the_way_to_the_api_server_is_told_to_its_end() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Connect(#[source] io::Error);
        let refused = Connect(io::Error::other("connection refused"));
        let error = kube::Error::Service(Box::new(refused));
        assert_eq!(words(&error), "client error (Connect): connection refused");
    }
}
