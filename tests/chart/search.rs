//! The search on a real API server with the chart installed and one replica: no admitted change costs an address unless the
//! status of the topology says so in time.
//!
//! `LOCKSTEP_STEPS` and `LOCKSTEP_SEED` make it another one.

use std::fmt::Write;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use fastrand::Rng;
use lockstep_test_support::api::{self, Answer, call, path_of};
use lockstep_test_support::release::read;
use lockstep_test_support::search::cluster::{Objects, key, list, text};
use lockstep_test_support::search::fate::{Moment, Place, losses};
use lockstep_test_support::search::steps::{By, Request, Step, endpoints_follow, next};
use lockstep_test_support::search::{LENGTH, seeds};
use lockstep_test_support::state;
use serde_json::{Value, json};

use crate::doors::{House, REPORTED_WITHIN, TOPOLOGY};

/// The number of steps unless `LOCKSTEP_STEPS` says otherwise.
const STEPS: usize = 250;

/// The kinds that steps change.
const KINDS: [(&str, &str, &str); 7] = [
    ("Service", "v1", "istio-system"),
    ("Pod", "v1", "istio-system"),
    ("Pod", "v1", "metallb-system"),
    ("EndpointSlice", "discovery.k8s.io/v1", "istio-system"),
    ("L2Advertisement", "metallb.io/v1beta1", "metallb-system"),
    ("BGPAdvertisement", "metallb.io/v1beta1", "metallb-system"),
    ("IPAddressPool", "metallb.io/v1beta1", "metallb-system"),
];

/// A cluster, and its objects as the API server last returned them.
struct Cluster {
    house: House,
    objects: Objects,
}

impl Cluster {
    async fn reset(&mut self) {
        self.house.reset(&[]).await;
        self.objects = Objects::default();
        let kinds = KINDS.into_iter().chain([("Node", "v1", "")]);
        for (kind, api_version, namespace) in kinds {
            let mut one = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "", "namespace": namespace}});
            if namespace.is_empty() {
                one["metadata"] = json!({"name": ""});
            }
            let collection = path_of(&one);
            let listed = read(&self.house.admin, collection.trim_end_matches('/')).await;
            for object in list(&listed, "/items") {
                let mut object = object.clone();
                object["kind"] = json!(kind);
                object["apiVersion"] = json!(api_version);
                self.objects.0.insert(key(&object), object);
            }
        }
    }

    /// Takes a step, and reads its object again. Returns the answer of the API server; nothing if the object is not there.
    async fn take(&mut self, step: &Step) -> Option<Answer> {
        let admin = &self.house.admin;
        let client = self.house.client((step.by == By::Alice).then_some("alice")).await;
        let place = (step.kind().to_owned(), step.name().to_owned());
        let stored = self.objects.0.get(&place);
        let path = path_of(match &step.request {
            Request::Create(object) => object,
            _ => stored?,
        });
        let answer = match &step.request {
            Request::Create(object) if step.by == By::GitOps => {
                let path = format!("{path}?fieldManager=gitops");
                call(&client, Method::PATCH, &path, "application/apply-patch+yaml", object).await
            }
            Request::Create(object) if step.by == By::Controller && stored.is_none() => {
                state::put(admin, std::slice::from_ref(object)).await;
                call(admin, Method::GET, &path, "application/json", &Value::Null).await
            }
            Request::Create(object) => api::post(&client, object, false).await,
            Request::Patch { subresource, patch, .. } => {
                let subresource = subresource.map(|it| format!("/{it}")).unwrap_or_default();
                let path = format!("{path}{subresource}");
                call(&client, Method::PATCH, &path, "application/merge-patch+json", patch).await
            }
            Request::Bind { node, .. } => {
                let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": place.1},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
                call(&client, Method::POST, &format!("{path}/binding"), "application/json", &binding).await
            }
            Request::Delete { .. } => {
                let path = format!("{path}?gracePeriodSeconds=0");
                call(&client, Method::DELETE, &path, "application/json", &Value::Null).await
            }
        };
        let now = call(admin, Method::GET, &path, "application/json", &Value::Null).await;
        if now.status == StatusCode::NOT_FOUND {
            self.objects.0.remove(&place);
        } else {
            assert!(now.status.is_success(), "{path}: {}", now.body);
            self.objects.0.insert(place, now.body);
        }
        Some(answer)
    }

    /// Waits until the status of the topology says what became of the address. Returns the time that it took, or what it says
    /// instead.
    async fn reported(&self, (service, address): &Place) -> Result<Duration, String> {
        let asked = self.house.within(REPORTED_WITHIN, async || {
            let topology = read(&self.house.admin, TOPOLOGY).await;
            let services = list(&topology, "/status/services");
            let said = services.iter().filter(|said| {
                let of = text(said, "/address");
                text(said, "/name") == service && (of == address || of.is_empty())
            });
            let is_reported = said.clone().any(|said| ["Lost", "Silent"].contains(&text(said, "/outcome")));
            if is_reported { Ok(()) } else { Err(format!("{:?}", said.collect::<Vec<_>>())) }
        });
        asked.await
    }
}

/// Whether a webhook of the product refused the request.
fn is_refused(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN && text(&answer.body, "/message").contains("lockstep.dev")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_admitted_change_costs_an_address_without_a_report() {
    let mut cluster = Cluster { house: House::start().await, objects: Objects::default() };
    let (mut admitted, mut refused, mut invalid, mut preserved) = (0, 0, 0, 0);
    let (mut reports, mut slowest, mut found) = (0, Duration::ZERO, String::new());
    let seeds = seeds(STEPS);
    for seed in seeds.clone() {
        cluster.reset().await;
        let (mut random, mut taken) = (Rng::with_seed(seed as u64), Vec::new());
        for _ in 0..LENGTH {
            let before = Moment::of(&cluster.objects);
            preserved += usize::from(before.has_preserved());
            let step = next(&cluster.objects, &mut random);
            taken.push(step.clone());
            let answer = cluster.take(&step).await;
            if step.kind() == "Pod" {
                for step in endpoints_follow(&cluster.objects) {
                    cluster.take(&step).await;
                }
            }
            match answer {
                Some(answer) if answer.status.is_success() => admitted += 1,
                Some(answer) if is_refused(&answer) => refused += 1,
                Some(_) | None => invalid += 1,
            }
            let mut wrong = None;
            for (place, fate) in losses(&before, &cluster.objects) {
                match cluster.reported(&place).await {
                    Ok(time) => (reports, slowest) = (reports + 1, slowest.max(time)),
                    Err(said) => wrong = Some(format!("{place:?} is {fate:?}, and reported as {said}")),
                }
            }
            if let Some(wrong) = wrong {
                writeln!(found, "\nseed {seed}: {wrong}").unwrap();
                taken.iter().for_each(|step| writeln!(found, "  {step}").unwrap());
                break;
            }
        }
    }
    println!(
        "evidence: API server: {} steps from seed {}: {admitted} admitted, {refused} refused, {invalid} invalid; an address was preserved before \
         {preserved}; {reports} losses were reported, the slowest after {slowest:?}",
        admitted + refused + invalid,
        seeds.start
    );
    assert!(found.is_empty(), "{found}");
    assert!(refused > 0 && reports > 0 && preserved * 3 > admitted, "the search has no power");
}
