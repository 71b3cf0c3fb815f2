//! The fields of webhook configurations that decide what is called, and no other.
//!
//! Both kinds have them alike (`admissionregistration.k8s.io/v1`). The API server fills every default in before
//! it stores an object, so that a field that is missing here is never taken for the better.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::labels::LabelSelector;
use crate::labels::tolerant::or_default;

/// A `MutatingWebhookConfiguration` or a `ValidatingWebhookConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The webhooks, each with a name of its own.
    #[serde(deserialize_with = "or_default")]
    pub webhooks: Vec<Webhook>,
}

/// One webhook of a configuration: it is called for what its rules, selectors and conditions all let through.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Where it is called.
    pub client_config: ClientConfig,
    /// What it is called for; any one will do.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
    /// `Fail`, or `Ignore`: what cannot be reviewed is stored.
    pub failure_policy: String,
    /// `Equivalent`, or `Exact`: only requests in the versions that the rules name.
    pub match_policy: String,
    /// The namespaces.
    #[serde(deserialize_with = "or_default")]
    pub namespace_selector: LabelSelector,
    /// The objects, by their own labels, old or new.
    #[serde(deserialize_with = "or_default")]
    pub object_selector: LabelSelector,
    /// CEL expressions that must all hold.
    #[serde(deserialize_with = "or_default")]
    pub match_conditions: Vec<IgnoredAny>,
    /// `None`, `NoneOnDryRun`, `Some` or `Unknown`.
    pub side_effects: String,
    /// The versions of `AdmissionReview` that may be sent.
    #[serde(deserialize_with = "or_default")]
    pub admission_review_versions: Vec<String>,
}

/// Where a webhook is called: by URL or through a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientConfig {
    /// `https://host:port/path`.
    pub url: Option<String>,
    /// The Service.
    pub service: Option<Service>,
    /// The trusted certificates: PEM in base64.
    #[serde(deserialize_with = "or_default")]
    pub ca_bundle: String,
}

/// The Service through which a webhook is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// The path of the URL; none is `/`.
    pub path: Option<String>,
}

/// What a webhook is called for. In every list, `*` is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    #[serde(deserialize_with = "or_default")]
    pub operations: Vec<String>,
    /// API groups; the core group is empty.
    #[serde(deserialize_with = "or_default")]
    pub api_groups: Vec<String>,
    /// API versions.
    #[serde(deserialize_with = "or_default")]
    pub api_versions: Vec<String>,
    /// Resources, with a subresource behind a slash.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<String>,
    /// `*`, `Namespaced` or `Cluster`.
    pub scope: String,
}

impl ClientConfig {
    /// The path that is called.
    pub(super) fn path(&self) -> &str {
        let of_service = self.service.as_ref().and_then(|service| service.path.as_deref());
        // The API server refuses a URL with a query or a fragment, and one together with a Service.
        let of_url = || {
            let (_, address) = self.url.as_deref()?.split_once("://")?;
            address.find('/').and_then(|start| address.get(start..))
        };
        of_service.or_else(of_url).unwrap_or("/")
    }
}
