//! The fields of webhook configurations that decide which requests are sent to which webhook.
//!
//! Both kinds have the same fields (`admissionregistration.k8s.io/v1`). The API server sets every default before it
//! stores an object, so a missing field has the worst value here.

use serde::Deserialize;

use crate::labels::LabelSelector;
use crate::labels::nulls::or_default;

/// A `MutatingWebhookConfiguration` or a `ValidatingWebhookConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The webhooks, each with a name of its own.
    #[serde(deserialize_with = "or_default")]
    pub webhooks: Vec<Webhook>,
}

/// One webhook of a configuration. The API server calls it for requests that its rules, selectors and conditions all match.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// The name.
    pub name: String,
    /// The address of the webhook.
    pub client_config: WebhookClientConfig,
    /// The requests that the webhook is called for; one matching rule is enough.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<RuleWithOperations>,
    /// `Fail`, or `Ignore`: the API server stores the object when the call fails.
    pub failure_policy: String,
    /// `Equivalent`, or `Exact`: requests in the versions that the rules name only.
    pub match_policy: String,
    /// The labels of the selected namespaces.
    #[serde(deserialize_with = "or_default")]
    pub namespace_selector: LabelSelector,
    /// The labels of the selected objects, old or new.
    #[serde(deserialize_with = "or_default")]
    pub object_selector: LabelSelector,
    /// CEL expressions that must all hold.
    #[serde(deserialize_with = "or_default")]
    pub match_conditions: Vec<MatchCondition>,
    /// `None`, `NoneOnDryRun`, `Some` or `Unknown`.
    pub side_effects: String,
    /// The versions of `AdmissionReview` that may be sent.
    #[serde(deserialize_with = "or_default")]
    pub admission_review_versions: Vec<String>,
}

/// A condition that must hold for a webhook to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MatchCondition {
    /// The condition in CEL.
    pub expression: String,
}

/// The address of a webhook: a URL or a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookClientConfig {
    /// `https://host:port/path`.
    pub url: Option<String>,
    /// The Service.
    pub service: Option<ServiceReference>,
    /// The CA certificates that the API server trusts: PEM in base64.
    #[serde(deserialize_with = "or_default")]
    pub ca_bundle: String,
}

/// The Service through which a webhook is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceReference {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The port, 443 by default.
    pub port: i64,
    /// The path of the URL; `None` means `/`.
    pub path: Option<String>,
}

impl Default for ServiceReference {
    fn default() -> Self {
        Self { namespace: String::new(), name: String::new(), port: 443, path: None }
    }
}

/// The requests that a webhook is called for. In every list, `*` matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleWithOperations {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    #[serde(deserialize_with = "or_default")]
    pub operations: Vec<String>,
    /// API groups; the core group is the empty string.
    #[serde(deserialize_with = "or_default")]
    pub api_groups: Vec<String>,
    /// API versions.
    #[serde(deserialize_with = "or_default")]
    pub api_versions: Vec<String>,
    /// Resources, with a subresource after a slash.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<String>,
    /// `*`, `Namespaced` or `Cluster`.
    pub scope: String,
}

impl WebhookClientConfig {
    /// The path that the API server calls.
    pub(super) fn path(&self) -> &str {
        let of_service = self.service.as_ref().and_then(|service| service.path.as_deref());
        // The API server rejects a URL with a query or a fragment, and a URL together with a Service.
        let of_url = || {
            let (_, address) = self.url.as_deref()?.split_once("://")?;
            address.find('/').and_then(|start| address.get(start..))
        };
        of_service.or_else(of_url).unwrap_or("/")
    }
}
