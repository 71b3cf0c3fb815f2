//! Reports: what is found about each topology, as an object for the tools that collect the findings of many programs.
//!
//! One OpenReports `ClusterReport` per topology if the API server serves that kind, and one `ClusterPolicyReport`
//! (wgpolicyk8s.io) if it serves that one only. Without either, nothing is written. Both kinds are watched, so that one that is
//! installed or removed later is noticed within a minute.
//!
//! Invariants:
//! * A topology has at most one report: its name follows from the topology's, and reports of the other kind are deleted.
//! * A write contains the version of the report that was compared, so one of several replicas writes, and the others find
//!   nothing to write. The limits on writes are those of status.
//! * A report has an owner, the `ValidatingWebhookConfiguration` of the release: after an uninstall, the garbage collector deletes it.
//!   Without the configuration, none is written.
//! * A report says what was assessed. While nothing was assessed yet, it stays as it is.

mod content;
mod name;
mod stored;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;

use super::assessor::AssessmentsReceiver;
use super::kinds::{Target, WatchedKind};
use super::last_assessments::{Assessed, LastAssessments};
use super::liveness::Liveness;
use super::store::{Store, Update, WatchId};
use super::wake::{next_value, until};
use super::watch_loop::{WATCH_SECONDS, WatchLoop};
use super::webhook_configurations::{Observed, WebhookConfigurations};
use super::{Error, WatchMetrics};
use content::Report;
use name::report_name;
use stored::{ReportContent, StoredReport, StoredTopology, owner};
use write::{Wanted, Writer, labels};

/// The maximum number of queued updates while reports are written.
const WAITING_UPDATES: usize = 64;

/// The kinds of reports, the preferred one first.
const KINDS: [WatchedKind; 2] = [WatchedKind::ClusterReport, WatchedKind::ClusterPolicyReport];

/// The inputs that reports are made of.
#[derive(Debug, Clone)]
pub struct ReportInputs {
    /// The newest assessments, from [`assessor`](super::assessor()).
    pub assessments: AssessmentsReceiver,
    /// The two webhook configurations, from [`watch_webhook_configurations`](super::watch_webhook_configurations). The validating
    /// one owns the reports.
    pub configurations: watch::Receiver<WebhookConfigurations>,
}

/// Keeps the reports of all topologies current.
///
/// # Errors
/// The future ends only with [`Error::WatchEnded`] or [`Error::Broken`]. An API server that is unreachable or rejects
/// requests is not an error: it is logged, counted and retried.
pub async fn reconcile_reports(client: Client, inputs: ReportInputs, metrics: WatchMetrics) -> Error {
    let mut watches = JoinSet::new();
    // The metrics of these watches would hide the silence of the watch for snapshots, or count kinds that are not installed.
    let uncounted = WatchMetrics::default();
    let (sender, topology_updates) = mpsc::channel(WAITING_UPDATES);
    let topologies = WatchedKind::GatewayTopology;
    watches.spawn(
        WatchLoop {
            id: WatchId::default(),
            target: Target::everywhere(topologies),
            client: client.clone(),
            updates: sender,
            decode: StoredTopology::decode,
            lasts: WATCH_SECONDS,
            liveness: Liveness::new(uncounted.last_contact(topologies)),
            metrics: uncounted.clone(),
        }
        .run(),
    );
    let (sender, report_updates) = mpsc::channel(WAITING_UPDATES);
    for (id, kind) in (0..).map(WatchId).zip(KINDS) {
        let watch = WatchLoop {
            id,
            target: Target { labels: labels(), ..Target::everywhere(kind) },
            client: client.clone(),
            updates: sender.clone(),
            decode: StoredReport::decode,
            lasts: WATCH_SECONDS,
            liveness: Liveness::new(uncounted.last_contact(kind)),
            metrics: uncounted.clone(),
        };
        watches.spawn(watch.run());
    }
    let reconciler = Reconciler {
        topology_updates,
        report_updates,
        topologies: Store::default(),
        reports: Default::default(),
        assessments: LastAssessments::new(inputs.assessments),
        configurations: inputs.configurations,
        writer: Writer::new(client, metrics),
        kind: None,
        made: BTreeMap::new(),
    };
    tokio::select! {
        Some(ended) = watches.join_next() => ended.map_or_else(Error::Broken, Error::WatchEnded),
        never = reconciler.run() => match never {},
    }
}

struct Reconciler {
    topology_updates: mpsc::Receiver<(WatchId, Update<StoredTopology>)>,
    report_updates: mpsc::Receiver<(WatchId, Update<StoredReport>)>,
    topologies: Store<StoredTopology>,
    /// The stored reports of each of [`KINDS`].
    reports: [Store<StoredReport>; 2],
    assessments: LastAssessments,
    configurations: watch::Receiver<WebhookConfigurations>,
    writer: Writer,
    /// The kind that is written.
    kind: Option<WatchedKind>,
    /// The report made last of each topology. Most changes concern few of them.
    made: BTreeMap<String, Made>,
}

/// A report, and what it was made of.
struct Made {
    uid: String,
    kind: WatchedKind,
    owner: OwnerReference,
    assessed: Assessed,
    content: Arc<ReportContent>,
}

impl Reconciler {
    async fn run(mut self) -> Infallible {
        let mut wake = None;
        loop {
            let (mut topologies, mut reports) = (Vec::new(), Vec::new());
            let mut changed = true;
            tokio::select! {
                _ = self.topology_updates.recv_many(&mut topologies, WAITING_UPDATES) => changed = false,
                _ = self.report_updates.recv_many(&mut reports, WAITING_UPDATES) => changed = false,
                () = next_value(&mut self.configurations) => {}
                () = self.assessments.next() => {}
                () = until(wake) => {}
            }
            for (_, update) in topologies {
                changed |= self.topologies.apply(update);
            }
            for (WatchId(index), update) in reports {
                let store = usize::try_from(index).ok().and_then(|index| self.reports.get_mut(index));
                changed |= store.is_some_and(|store| store.apply(update));
            }
            // Each write of a status is an update of its topology, and changes nothing here.
            if changed {
                wake = self.reconcile().await;
            }
        }
    }

    /// The kind to write: the first one that is served, once all before it are known to be missing.
    fn kind_in_use(&self) -> Option<WatchedKind> {
        let [preferred, other] = &self.reports;
        let served = |store: &Store<_>, kind| store.known().map(|_| kind);
        let [open, policy] = KINDS;
        served(preferred, open).or_else(|| served(other, policy).filter(|_| preferred.is_missing()))
    }

    /// Writes and deletes what is due. Returns the time of the next attempt if nothing changes.
    async fn reconcile(&mut self) -> Option<Instant> {
        let kind = self.kind_in_use();
        if self.kind != kind {
            self.kind = kind;
            if let Some(kind) = kind {
                info!(?kind, "writing a report of every topology");
            }
        }
        let kind = kind?;
        let becomes_unknown = self.make(kind);
        if let Some(pause) = self.writer.pause() {
            return Some(pause);
        }
        let (wake, failure) = self.write(kind).await;
        let retry = match failure {
            Some(error) => self.writer.fail(&error),
            None => {
                self.writer.succeed();
                None
            }
        };
        [wake, becomes_unknown, retry].into_iter().flatten().min()
    }

    /// Makes the report of every topology that was assessed. Returns when the last assessment will no longer count.
    fn make(&mut self, kind: WatchedKind) -> Option<Instant> {
        let state = self.assessments.state(Instant::now());
        let becomes_unknown = state.becomes_unknown();
        let owner = match &*self.configurations.borrow_and_update() {
            WebhookConfigurations { name, validating: Observed::Present(observed), .. } => {
                Some(owner(name, &observed.uid))
            }
            _ => None,
        };
        let (Some(topologies), Some(owner)) = (self.topologies.known(), owner) else {
            self.made.clear();
            return becomes_unknown;
        };
        let mut held = std::mem::take(&mut self.made);
        for (key, topology) in topologies {
            let assessed = state.of(&key.name, topology.generation, topology.problem.as_ref());
            let made = held.remove(&key.name).filter(|made| {
                made.kind == kind
                    && made.uid == topology.uid
                    && made.owner == owner
                    && made.assessed.is(&assessed)
            });
            let make = || {
                let has_source = kind == WatchedKind::ClusterReport;
                let report = Report::new(&key.name, &topology.uid, &assessed, has_source)?;
                let content = Arc::new(ReportContent { owner: Some(owner.clone()), report });
                Some(Made { uid: topology.uid.clone(), kind, owner: owner.clone(), assessed, content })
            };
            if let Some(made) = made.or_else(make) {
                self.made.insert(key.name.clone(), made);
            }
        }
        becomes_unknown
    }

    /// Writes each report that is due, and deletes those that nothing asks for. Returns when the next one is due, and the
    /// last failure.
    async fn write(&mut self, kind: WatchedKind) -> (Option<Instant>, Option<kube::Error>) {
        let (mut wake, mut failure) = (Vec::new(), None);
        let Some(topologies) = self.topologies.known() else { return (None, None) };
        self.writer.keep_only(&topologies.values().map(|topology| topology.uid.as_str()).collect());
        let names: BTreeSet<String> = topologies.keys().map(|key| report_name(&key.name)).collect();
        for (of, store) in KINDS.into_iter().zip(&self.reports) {
            let ours = store.known().into_iter().flatten().filter(|(_, report)| report.is_ours);
            for (key, report) in ours {
                let deleted = match of == kind {
                    true if names.contains(&key.name) => continue,
                    true => self.writer.delete_orphan(of, &key.name, report).await,
                    // The other kind is written instead.
                    false => self.writer.delete(of, &key.name, report).await,
                };
                failure = deleted.err().or(failure);
            }
        }
        let stored = KINDS.into_iter().zip(&self.reports).find(|(of, _)| *of == kind);
        let stored = stored.and_then(|(_, store)| store.known());
        for (topology, made) in &self.made {
            let name = report_name(topology);
            let wanted = Wanted {
                stored: stored.and_then(|reports| {
                    reports.iter().find(|(key, _)| key.name == name).map(|(_, report)| report)
                }),
                name,
                uid: &made.uid,
                content: Arc::clone(&made.content),
            };
            let now = Instant::now();
            match self.writer.time_of(&wanted, now) {
                None => {}
                Some(time) if time > now => wake.push(time),
                Some(_) => failure = self.writer.write(kind, &wanted).await.err().or(failure),
            }
        }
        (wake.into_iter().min(), failure)
    }
}
