//! Writing and deleting reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, TypeMeta};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::super::WatchMetrics;
use super::super::backoff::Backoff;
use super::super::failure::words;
use super::super::kinds::WatchedKind;
use super::super::metrics::ReportResult;
use super::super::schedule::{Content, Schedule, Stored};
use super::stored::{ReportContent, StoredReport};
use crate::labels::Labels;

/// The field manager of reports. It is the same for all replicas.
const FIELD_MANAGER: &str = "lockstep";

/// The maximum pause between two attempts. A late report does no harm.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The label of all reports, by which they are watched.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "lockstep");

/// The labels of all reports.
pub(super) fn labels() -> Labels {
    Labels::from([(MANAGED_BY.0.into(), MANAGED_BY.1.into())])
}

impl Content for Option<Arc<ReportContent>> {
    fn timeless(&self) -> Self {
        self.clone()
    }
}

/// A topology's report as it should be, and as it is stored.
#[derive(Debug)]
pub(super) struct Wanted<'s> {
    /// The name of the report.
    pub(super) name: String,
    /// The topology's uid.
    pub(super) uid: &'s str,
    pub(super) content: Arc<ReportContent>,
    pub(super) stored: Option<&'s StoredReport>,
}

impl Wanted<'_> {
    fn stored<'w>(
        &'w self,
        content: &'w Option<Arc<ReportContent>>,
    ) -> Stored<'w, Option<Arc<ReportContent>>> {
        let version = self.stored.map_or("", |stored| stored.resource_version.as_str());
        Stored { uid: self.uid, version, content }
    }
}

/// Writes and deletes reports.
pub(super) struct Writer {
    client: Client,
    topologies: Api<DynamicObject>,
    metrics: WatchMetrics,
    schedule: Schedule<Option<Arc<ReportContent>>>,
    backoff: Backoff<String>,
    /// The end of the pause after a failure.
    paused_until: Option<Instant>,
}

impl Writer {
    pub(super) fn new(client: Client, metrics: WatchMetrics) -> Self {
        Self {
            topologies: Api::all_with(client.clone(), &WatchedKind::GatewayTopology.resource()),
            client,
            metrics,
            schedule: Schedule::default(),
            backoff: Backoff::new(LONGEST_PAUSE),
            paused_until: None,
        }
    }

    /// The end of the pause after a failure; `None` without one.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.paused_until.filter(|until| *until > Instant::now())
    }

    /// Forgets the topologies that are not among `uids`.
    pub(super) fn keep_only(&mut self, uids: &BTreeSet<&str>) {
        self.schedule.keep_only(uids);
    }

    /// The earliest time to write a report; `None` if it is stored, or what is stored is about to be received.
    pub(super) fn time_of(&mut self, wanted: &Wanted<'_>, now: Instant) -> Option<Instant> {
        let content = Some(Arc::clone(&wanted.content));
        let held = wanted.stored.map(|stored| Arc::clone(&stored.content));
        if held == content {
            self.schedule.note_agreement(wanted.stored(&held), now);
            return None;
        }
        self.schedule.not_before(wanted.stored(&held), &content, now)
    }

    /// Writes a report. A conflict is not a failure: another replica has written, and the watch will receive its report.
    ///
    /// A report is created, and later changed by a merge patch to the version that was compared. Server-side apply would
    /// be one request for both, but it cannot say that no report may exist yet, and a replica that lags behind would write
    /// over a newer report.
    pub(super) async fn write(&mut self, kind: WatchedKind, wanted: &Wanted<'_>) -> kube::Result<()> {
        let resource = kind.resource();
        let reports: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let object = object(&resource, wanted, Timestamp::now());
        let written = match wanted.stored {
            None => {
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                reports.create(&params, &object).await
            }
            Some(_) => {
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                reports.patch(&wanted.name, &params, &Patch::Merge(&object)).await
            }
        };
        match written {
            Ok(_) => {
                debug!(report = wanted.name, "wrote the report of a topology");
                self.metrics.count_report(ReportResult::Stored);
                let content = Some(Arc::clone(&wanted.content));
                self.schedule.note(wanted.stored(&None), &content, Instant::now());
                Ok(())
            }
            Err(error) => self.refused(error),
        }
    }

    /// Deletes a report whose topology, of this name, is gone.
    ///
    /// The watches are independent: another replica may have written the report of a topology that is not known here yet.
    pub(super) async fn delete_orphan(
        &self,
        kind: WatchedKind,
        name: &str,
        report: &StoredReport,
    ) -> kube::Result<()> {
        let topology = &report.report.scope.name;
        let named = ListParams::default().fields(&format!("metadata.name={topology}"));
        if self.topologies.list_metadata(&named).await?.items.is_empty() {
            self.delete(kind, name, report).await?;
        }
        Ok(())
    }

    /// Deletes a report in the version that was received.
    pub(super) async fn delete(
        &self,
        kind: WatchedKind,
        name: &str,
        report: &StoredReport,
    ) -> kube::Result<()> {
        let preconditions = Preconditions {
            uid: Some(report.uid.clone()),
            resource_version: Some(report.resource_version.clone()),
        };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let reports: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind.resource());
        match reports.delete(name, &params).await {
            Ok(_) => {
                debug!(report = name, "deleted a report");
                self.metrics.count_report(ReportResult::Deleted);
                Ok(())
            }
            // Another replica has deleted it.
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
            Err(error) => self.refused(error),
        }
    }

    fn refused(&self, error: kube::Error) -> kube::Result<()> {
        match error {
            kube::Error::Api(answer) if answer.code == 409 => {
                self.metrics.count_report(ReportResult::Conflict);
                Ok(())
            }
            error => {
                self.metrics.count_report(ReportResult::Failed);
                Err(error)
            }
        }
    }

    /// Logs a failure if it differs from the last one. Returns the time of the next attempt.
    pub(super) fn fail(&mut self, error: &kube::Error) -> Option<Instant> {
        let failure = words(error);
        if self.backoff.fail(failure.clone()) {
            warn!(error = failure, "writing the reports of topologies failed; retrying");
        } else {
            debug!(error = failure, "writing the reports of topologies still fails");
        }
        self.paused_until = Instant::now().checked_add(self.backoff.pause());
        self.paused_until
    }

    /// Records that every request succeeded.
    pub(super) fn succeed(&mut self) {
        self.paused_until = None;
        if self.backoff.succeed() {
            info!("writing the reports of topologies recovered");
        }
    }
}

/// The request: the whole object, with the version that it replaces.
fn object(resource: &ApiResource, wanted: &Wanted<'_>, now: Timestamp) -> DynamicObject {
    let ReportContent { owner, report } = &*wanted.content;
    let report = report.clone().timed(wanted.stored.map(|stored| &stored.report), now);
    let (label, value) = MANAGED_BY;
    DynamicObject {
        types: Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() }),
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            labels: Some(BTreeMap::from([(label.to_owned(), value.to_owned())])),
            owner_references: Some(owner.iter().cloned().collect()),
            resource_version: wanted.stored.map(|stored| stored.resource_version.clone()),
            ..ObjectMeta::default()
        },
        data: json!(report),
    }
}
