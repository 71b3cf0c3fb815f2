//! The calls of a webhook: where the API server sends them, and why they do not arrive.

use std::collections::BTreeMap;

use super::configuration::{ServiceReference, Webhook};
use crate::escape::excerpt;

/// The target of a webhook's calls: the port of a Service, and a certificate behind it that the `caBundle` verifies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallTarget {
    /// The namespace of the Service.
    pub namespace: String,
    /// The name of the Service.
    pub name: String,
    /// The port of the Service.
    pub port: i64,
    /// The CA certificates that the API server trusts: PEM in base64.
    pub ca_bundle: String,
}

impl CallTarget {
    /// The target of a webhook; `None` if it is called by a URL, or if it has no `caBundle`, which is a gap of its own.
    #[must_use]
    pub fn of(webhook: &Webhook) -> Option<Self> {
        let config = &webhook.client_config;
        let ServiceReference { namespace, name, port, .. } = config.service.clone()?;
        let ca_bundle = config.ca_bundle.clone();
        (!ca_bundle.is_empty()).then_some(Self { namespace, name, port, ca_bundle })
    }

    /// The name that the certificate must be valid for, as kube-apiserver asks for it (apiserver
    /// `pkg/util/webhook/client.go`, Kubernetes 1.36).
    #[must_use]
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// The reason why no call arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFault {
    /// The Service does not exist.
    NoService,
    /// The Service has no such port.
    NoPort,
    /// The Service has no endpoint that is ready.
    NoEndpoint,
    /// No endpoint accepts a connection; the error of one.
    NotConnected(String),
    /// The certificate of an endpoint is not valid for the Service, or not signed by the CA; the error.
    Certificate(String),
    /// The Service or its endpoints could not be read; the error.
    Unread(String),
}

/// Every target that was tried, with the reason why no call arrives.
pub type Calls = BTreeMap<CallTarget, Option<CallFault>>;

impl CallFault {
    /// The predicate of a sentence about a webhook with this target.
    pub(super) fn predicate(&self, target: &CallTarget) -> String {
        let service = format!("Service `{}/{}`", excerpt(&target.namespace), excerpt(&target.name));
        match self {
            Self::NoService => {
                format!("calls {service}, which does not exist, so every call fails: upgrade the release")
            }
            Self::NoPort => format!(
                "calls port {} of {service}, which has no such port, so every call fails: upgrade the release",
                target.port
            ),
            Self::NoEndpoint => format!(
                "calls {service}, which has no ready endpoint, so every call fails: check the Service's selector and the pods' readiness"
            ),
            Self::NotConnected(error) => format!(
                "calls {service}, and no endpoint accepts a connection ({}), so every call fails: check the Service's `targetPort` and network policies",
                excerpt(error)
            ),
            Self::Certificate(error) => format!(
                "calls {service}, whose endpoints have no certificate that `caBundle` verifies for `{}` ({}), so every call fails: check the Service's selector, the certificate and `caBundle`",
                excerpt(&target.server_name()),
                excerpt(error)
            ),
            Self::Unread(error) => format!(
                "calls {service}, and whether the calls arrive is not known, because the Service or its EndpointSlices cannot be listed ({}): upgrade the release, which grants the right in its namespace",
                excerpt(error)
            ),
        }
    }
}
