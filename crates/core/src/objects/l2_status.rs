//! `ServiceL2Status`: a speaker's report that its node announces a Service.

use serde::Deserialize;

use crate::labels::nulls::or_default;

/// The status of a `ServiceL2Status` (`metallb.io/v1beta1`, since 0.14.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceL2Status {
    /// The node that announces.
    #[serde(deserialize_with = "or_default")]
    pub node: String,
    /// The Service's name.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// The Service's namespace.
    #[serde(deserialize_with = "or_default")]
    pub service_namespace: String,
}
