//! Events (`events.k8s.io/v1`) on topologies and their Services: what a written status has changed.
//!
//! Only the replica that has written a status sends its Events, so each change is reported once. Events have a task and a queue
//! of their own: an API server that refuses or delays them holds up no status. An Event that is refused is counted and
//! dropped, because the status says the same.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::api::{Api, ListParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use lockstep_core::escape::cut;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::super::WatchMetrics;
use super::super::backoff::Backoff;
use super::super::failure::words;
use super::super::metrics::EventResult;
use super::super::token_bucket::TokenBucket;
use super::verdicts::StoredTopology;
use crate::topology::{GatewayTopology, GatewayTopologyStatus, STALLED, ServiceStatus};

/// The controller that reports the Events.
const CONTROLLER: &str = "lockstep.dev/lockstep";

/// The maximum number of Events that wait. Each is small, and a cluster that is wrong everywhere has many.
const WAITING: usize = 512;

/// The maximum length of a note, in bytes (`validateEvent`, pkg/apis/core/validation/events.go of Kubernetes).
const MAX_NOTE: usize = 1024;

/// The number of Events about one object in a row, and the time after which one more is sent: the limits of client-go
/// (`EventSourceObjectSpamFilter`, tools/record/events_cache.go).
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);

/// Logs repeated failures once.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The queue of Events.
pub(super) struct Events {
    queue: mpsc::Sender<(ObjectReference, Event)>,
    metrics: WatchMetrics,
    _task: AbortOnDropHandle<()>,
}

impl Events {
    pub(super) fn new(client: Client, metrics: WatchMetrics) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let sender = Sender {
            recorder: Recorder::new(client.clone(), Reporter::from(CONTROLLER)),
            client,
            metrics: metrics.clone(),
            limits: BTreeMap::new(),
            backoff: Backoff::new(LONGEST_PAUSE),
        };
        Self { queue, metrics, _task: AbortOnDropHandle::new(tokio::spawn(sender.run(waiting))) }
    }

    /// Sends the Events about the difference between the stored status of a topology and the one that was written over it.
    pub(super) fn send(&self, name: &str, topology: &StoredTopology, written: &GatewayTopologyStatus) {
        let namespace =
            topology.spec.as_ref().map(|spec| spec.gateway.namespace.as_str()).unwrap_or_default();
        let regarding = ObjectReference {
            api_version: Some(GatewayTopology::api_version(&()).into_owned()),
            kind: Some(GatewayTopology::kind(&()).into_owned()),
            name: Some(name.to_owned()),
            uid: Some(topology.uid.clone()),
            ..ObjectReference::default()
        };
        let of_topology = topology_events(&topology.status, written).into_iter();
        let of_services = service_events(&topology.status, written).into_iter().map(|(service, event)| {
            let regarding = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Service".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(service),
                ..ObjectReference::default()
            };
            (regarding, event)
        });
        for event in of_topology.map(|event| (regarding.clone(), event)).chain(of_services) {
            if self.queue.try_send(event).is_err() {
                self.metrics.count_event_result(EventResult::Dropped);
            }
        }
    }
}

struct Sender {
    client: Client,
    recorder: Recorder,
    metrics: WatchMetrics,
    limits: BTreeMap<String, TokenBucket>,
    backoff: Backoff<String>,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<(ObjectReference, Event)>) {
        while let Some((regarding, event)) = waiting.recv().await {
            let object = format!("{:?}/{:?}", regarding.namespace, regarding.name);
            if !self.may_send(object, Instant::now()) {
                self.metrics.count_event_result(EventResult::Dropped);
                continue;
            }
            match self.publish(regarding, &event).await {
                Ok(()) => {
                    self.backoff.succeed();
                    self.metrics.count_event_result(EventResult::Stored);
                }
                Err(error) => {
                    self.metrics.count_event_result(EventResult::Failed);
                    let failure = words(&error);
                    if self.backoff.fail(failure.clone()) {
                        warn!(error = failure, "an Event was not stored");
                    } else {
                        debug!(error = failure, "an Event was not stored");
                    }
                }
            }
        }
    }

    /// Whether an Event about the object may be sent now.
    fn may_send(&mut self, object: String, now: Instant) -> bool {
        self.limits.retain(|_, bucket| !bucket.is_full(now));
        self.limits.entry(object).or_insert_with(|| TokenBucket::new(BURST, REFILL, now)).take(now)
    }

    /// Publishes one Event. A Service that has gone since needs none.
    async fn publish(&self, mut regarding: ObjectReference, event: &Event) -> kube::Result<()> {
        if let (Some(namespace), Some(name)) = (&regarding.namespace, &regarding.name) {
            // kubectl shows the Events with the object's uid only.
            let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
            let named = ListParams::default().fields(&format!("metadata.name={name}"));
            match services.list_metadata(&named).await?.items.pop() {
                Some(service) => regarding.uid = service.metadata.uid,
                None => return Ok(()),
            }
        }
        self.recorder.publish(event, &regarding).await
    }
}

fn event(is_good: bool, reason: &str, action: &str, note: &str) -> Event {
    Event {
        type_: if is_good { EventType::Normal } else { EventType::Warning },
        reason: reason.to_owned(),
        action: action.to_owned(),
        note: Some(cut(note, MAX_NOTE).to_owned()),
        secondary: None,
    }
}

/// The Events about a topology: conditions that changed, and findings that are new.
fn topology_events(before: &GatewayTopologyStatus, now: &GatewayTopologyStatus) -> Vec<Event> {
    let mut events = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for condition in &now.conditions {
        let held = before.condition(&condition.type_);
        let good = if condition.type_ == STALLED { "False" } else { "True" };
        let is_good = condition.status == good;
        told.push(&condition.reason);
        let is_same =
            held.is_some_and(|held| (&held.status, &held.reason) == (&condition.status, &condition.reason));
        // A topology that has been well from its beginning is no news.
        let is_news = !is_same && (!is_good || held.is_some_and(|held| held.status != good));
        if is_news {
            events.push(event(is_good, &condition.reason, &condition.type_, &condition.message));
        }
    }
    let is_known = |reason: &str| before.findings.iter().any(|finding| finding.reason == reason);
    for finding in &now.findings {
        if !is_known(&finding.reason) && !told.contains(&finding.reason.as_str()) {
            told.push(&finding.reason);
            events.push(event(false, &finding.reason, "Assess", &finding.message));
        }
    }
    events
}

/// The Events about Services, each with the Service's name: addresses whose outcome has changed.
fn service_events(before: &GatewayTopologyStatus, now: &GatewayTopologyStatus) -> Vec<(String, Event)> {
    let held = |service: &ServiceStatus| {
        before.services.iter().find(|held| (&held.name, &held.address) == (&service.name, &service.address))
    };
    let is_good = |service: &ServiceStatus| service.outcome == "Preserved";
    let changed = now.services.iter().filter(|service| match held(service) {
        Some(held) => (&held.outcome, &held.reason) != (&service.outcome, &service.reason),
        None => !is_good(service),
    });
    let told = changed.map(|service| {
        let address = service.address.as_deref().unwrap_or("no address");
        let message = service
            .message
            .as_deref()
            .unwrap_or("the client's source IP survives, also after one node fails");
        let note = format!("{address}: {}: {message}", service.outcome);
        let reason = service.reason.as_deref().unwrap_or("OK");
        (service.name.clone(), event(is_good(service), reason, &service.outcome, &note))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::topology::FindingStatus;

    fn condition(kind: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: format!("{kind} is {status}"),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn status(conditions: &[(&str, &str, &str)], findings: &[&str]) -> GatewayTopologyStatus {
        GatewayTopologyStatus {
            conditions: conditions
                .iter()
                .map(|(kind, status, reason)| condition(kind, status, reason))
                .collect(),
            findings: findings
                .iter()
                .map(|reason| FindingStatus { reason: (*reason).to_owned(), message: String::new() })
                .collect(),
            ..GatewayTopologyStatus::default()
        }
    }

    fn reasons(before: &GatewayTopologyStatus, now: &GatewayTopologyStatus) -> Vec<(bool, String)> {
        let events = topology_events(before, now).into_iter();
        events.map(|event| (matches!(event.type_, EventType::Normal), event.reason)).collect()
    }

    #[test]
    fn a_topology_that_is_well_from_its_beginning_is_no_news() {
        let well = status(&[("Aligned", "True", "OK"), (STALLED, "False", "OK")], &[]);
        assert_eq!(reasons(&GatewayTopologyStatus::default(), &well), []);
        assert_eq!(reasons(&well, &well), []);
    }

    #[test]
    fn a_condition_is_reported_when_it_breaks_and_when_it_is_mended() {
        let well = status(&[("Aligned", "True", "OK")], &[]);
        let broken = status(&[("Aligned", "False", "WIDER")], &["WIDER", "ONE_REPLICA"]);
        let expected = [(false, "WIDER".to_owned()), (false, "ONE_REPLICA".to_owned())];
        assert_eq!(reasons(&well, &broken), expected);
        assert_eq!(reasons(&GatewayTopologyStatus::default(), &broken), expected);
        assert_eq!(reasons(&broken, &broken), []);
        assert_eq!(reasons(&broken, &well), [(true, "OK".to_owned())]);
    }

    #[test]
    fn a_service_is_reported_when_its_outcome_changes() {
        let service = |outcome: &str, reason: Option<&str>| GatewayTopologyStatus {
            services: vec![ServiceStatus {
                name: "gateway".to_owned(),
                address: Some("192.0.2.1".to_owned()),
                outcome: outcome.to_owned(),
                reason: reason.map(str::to_owned),
                message: reason.map(|reason| format!("because of {reason}")),
                ..ServiceStatus::default()
            }],
            ..GatewayTopologyStatus::default()
        };
        let (well, lost) = (service("Preserved", None), service("Lost", Some("NOT_LOCAL")));
        assert_eq!(service_events(&GatewayTopologyStatus::default(), &well).len(), 0);
        let events = service_events(&well, &lost);
        assert_eq!(events[0].0, "gateway");
        assert_eq!(events[0].1.note.as_deref(), Some("192.0.2.1: Lost: because of NOT_LOCAL"));
        assert_eq!(service_events(&lost, &lost).len(), 0);
        assert!(matches!(service_events(&lost, &well)[0].1.type_, EventType::Normal));
    }
}
