//! Reports and topologies as the API server stores them.

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::super::decode::ReceivedObject;
use super::super::kinds::WatchedKind;
use super::content::Report;
use super::name::PREFIX;
use crate::topology::GatewayTopology;

/// A report as the API server stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredReport {
    pub(super) uid: String,
    pub(super) resource_version: String,
    /// Whether Lockstep has written it: its name and its scope say so, not only its label.
    pub(super) is_ours: bool,
    /// The report with its times; empty if it cannot be decoded.
    pub(super) report: Report,
    /// What a replica compares with what it wants.
    pub(super) content: Arc<ReportContent>,
}

/// What is compared of a report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReportContent {
    /// The webhook configuration of the release, with which the report goes.
    pub(super) owner: Option<OwnerReference>,
    /// The report without times.
    pub(super) report: Report,
}

/// A topology as the API server stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredTopology {
    pub(super) uid: String,
    pub(super) generation: i64,
    /// The reason why the spec cannot be used; `None` if it can.
    pub(super) problem: Option<String>,
}

impl StoredReport {
    pub(super) fn decode(_: WatchedKind, object: ReceivedObject) -> Self {
        let ReceivedObject { metadata, rest } = object;
        // A report that somebody has changed beyond recognition is replaced.
        let report: Report = serde_json::from_value(rest).unwrap_or_default();
        let name = metadata.name.unwrap_or_default();
        let is_ours = name.starts_with(PREFIX) && report.scope.kind == GatewayTopology::kind(&());
        let owners = metadata.owner_references.unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner.kind == ValidatingWebhookConfiguration::kind(&()));
        Self {
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            is_ours,
            content: Arc::new(ReportContent { owner, report: report.clone().timeless() }),
            report,
        }
    }
}

impl StoredTopology {
    pub(super) fn decode(_: WatchedKind, object: ReceivedObject) -> Self {
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            problem: object.topology().err(),
        }
    }
}

/// The reference that makes a report go with the release: the garbage collector deletes it once the configuration is gone.
/// `blockOwnerDeletion` stays unset: it would take rights on the configuration's finalizers.
pub(super) fn owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: ValidatingWebhookConfiguration::api_version(&()).into_owned(),
        kind: ValidatingWebhookConfiguration::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        block_owner_deletion: None,
        controller: None,
    }
}
