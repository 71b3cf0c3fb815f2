//! The search on the core alone: each step is judged as the API server would have it judged, and taken if it is admitted.
//!
//! `LOCKSTEP_STEPS` and `LOCKSTEP_SEED` make it another one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use fastrand::Rng;
use lockstep::admission::{self, Body, Decision, Review};
use lockstep::assessment::Assessment;
use lockstep::change::Phase;
use lockstep::election::MetalLbVersion;
use lockstep::manifests;
use lockstep::snapshot::{Inventory, KnownState, ObjectKey, Snapshot};
use lockstep_test_support::search::cluster::{GATEWAY_NAMESPACE, Objects, key, list, text};
use lockstep_test_support::search::fate::{Fate, Moment, Place, fates, losses};
use lockstep_test_support::search::steps::{By, Request, Step, endpoints_follow, has_finalizers, next};
use lockstep_test_support::search::{LENGTH, seeds};
use serde_json::{Value, json};

/// The number of steps unless `LOCKSTEP_STEPS` says otherwise: some seconds.
const STEPS: usize = 10_000;

/// The end of a step.
enum Taken {
    Admitted,
    Refused,
    /// The API server itself refuses it, or its object is not there.
    Invalid,
}

struct Cluster {
    objects: Objects,
}

impl Cluster {
    fn new() -> Self {
        Self { objects: Objects::base() }
    }

    fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        for object in self.objects.0.values() {
            let added = manifests::add_state(&mut inventory, object, "default").expect("a valid object");
            inventory.read.extend(added);
        }
        // The state is known as a whole, as replicas know it, also when the last object of a kind is gone.
        inventory.read.extend(lockstep::snapshot::Source::ALL);
        inventory.infer_settings();
        inventory.or_built_in()
    }

    /// Takes a step, and those that the controllers take at once.
    fn take_and_follow(&mut self, step: &Step) -> Taken {
        let taken = self.take(step);
        if step.kind() == "Pod" {
            for step in endpoints_follow(&self.objects) {
                self.take(&step);
            }
        }
        taken
    }

    /// Takes a step as the API server would: it changes the object, has it reviewed, and stores it.
    fn take(&mut self, step: &Step) -> Taken {
        let place = (step.kind().to_owned(), step.name().to_owned());
        let stored = self.objects.0.get(&place).cloned();
        let (operation, wanted) = match (&step.request, &stored) {
            (Request::Create(object), None) => ("CREATE", complete(object.clone(), None)),
            (Request::Create(_), Some(_)) | (_, None) => return Taken::Invalid,
            (Request::Patch { patch, .. }, Some(stored)) => {
                let mut object = stored.clone();
                json_patch::merge(&mut object, patch);
                if let (Request::Patch { subresource: None, .. }, Some(status)) =
                    (&step.request, stored.get("status"))
                {
                    object["status"] = status.clone();
                }
                ("UPDATE", complete(object, Some(stored)))
            }
            (Request::Bind { node, .. }, Some(stored)) => {
                let mut object = stored.clone();
                object["spec"]["nodeName"] = json!(node);
                ("UPDATE", object)
            }
            (Request::Delete { .. }, Some(stored)) => ("DELETE", stored.clone()),
        };
        let admitted = if step.is_reviewed() {
            match self.review(operation, wanted, stored.as_ref()) {
                Some(object) => object,
                None => return Taken::Refused,
            }
        } else {
            wanted
        };
        match operation {
            "DELETE" if has_finalizers(&admitted) => {
                let mut terminating = admitted;
                terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                self.objects.0.insert(place, terminating);
            }
            "DELETE" => drop(self.objects.0.remove(&place)),
            _ if !text(&admitted, "/metadata/deletionTimestamp").is_empty() && !has_finalizers(&admitted) => {
                self.objects.0.remove(&place);
            }
            _ => drop(self.objects.0.insert(place, admitted)),
        }
        Taken::Admitted
    }

    /// Has both webhooks review an object. Returns it as it is stored, or nothing if it is refused.
    fn review(&self, operation: &str, mut object: Value, old: Option<&Value>) -> Option<Value> {
        let inventory = self.inventory();
        let snapshot = Snapshot::new(&inventory);
        let state = KnownState { inventory: Arc::new(inventory), metallb_kinds: Arc::default() };
        let snapshot = snapshot.with_state(Some(state));
        for phase in [Phase::Mutate, Phase::Validate] {
            let review = review(operation, &object, old).to_string();
            match admission::review(&Body::new(review.as_bytes()), phase, &snapshot) {
                Ok(Review { decision: Decision::Judged { verdict, patch }, .. }) => {
                    if verdict.is_denied() {
                        return None;
                    }
                    if let Some(patch) = patch {
                        json_patch::patch(&mut object, &patch).expect("the patch applies");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        Some(object)
    }
}

/// Sets what the API server sets: the policy of a Service that has a node port, and none of another.
fn complete(mut object: Value, old: Option<&Value>) -> Value {
    if text(&object, "/kind") == "Service" {
        let is_balancer = text(&object, "/spec/type") == "LoadBalancer";
        if !is_balancer {
            object["spec"].as_object_mut().expect("an object").remove("externalTrafficPolicy");
            object.as_object_mut().expect("an object").remove("status");
        } else if object.pointer("/spec/externalTrafficPolicy").is_none_or(Value::is_null) {
            object["spec"]["externalTrafficPolicy"] = json!("Cluster");
        }
    }
    // What a terminating object waits for only shrinks.
    if old.is_some_and(|old| !text(old, "/metadata/deletionTimestamp").is_empty()) && has_finalizers(&object)
    {
        object["metadata"]["finalizers"] =
            old.map_or(Value::Null, |old| old["metadata"]["finalizers"].clone());
    }
    object
}

fn review(operation: &str, object: &Value, old: Option<&Value>) -> Value {
    let (kind, api_version) = (text(object, "/kind"), text(object, "/apiVersion"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "search", "operation": operation, "dryRun": false,
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": format!("{}s", kind.to_lowercase())},
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": if operation == "DELETE" { &Value::Null } else { object },
            "oldObject": old.unwrap_or(&Value::Null),
        }
    })
}

/// The outcomes by the product's own assessment.
fn outcomes(inventory: &Inventory) -> BTreeMap<Place, String> {
    let assessment = Assessment::of(inventory, MetalLbVersion::default());
    let services = assessment.topologies.into_iter().flat_map(|topology| topology.services);
    let mut outcomes = BTreeMap::new();
    for service in services {
        let ObjectKey { name, .. } = service.key;
        for address in service.addresses {
            outcomes.insert(
                (name.clone(), address.address.unwrap_or_default()),
                address.outcome.word().to_owned(),
            );
        }
    }
    outcomes
}

/// The fault after a step that was admitted; `None` if there is none.
fn violation(step: &Step, before: &Moment, cluster: &Cluster) -> Option<String> {
    let losses = losses(before, &cluster.objects);
    let ((service, address), fate) = losses.first()?;
    if step.must_be_refused(&before.objects) {
        return Some(format!("{address} of {service} is {fate:?}: the change was admitted"));
    }
    let outcomes = outcomes(&cluster.inventory());
    losses.iter().find_map(|((service, address), fate)| {
        let of_service = outcomes.iter().filter(|((name, _), _)| name == service);
        let mut said = of_service.filter(|((_, of), _)| of == address || of.is_empty());
        let is_reported = said.clone().any(|(_, outcome)| ["Lost", "Silent"].contains(&outcome.as_str()));
        (!is_reported)
            .then(|| format!("{address} of {service} is {fate:?}, and reported as {:?}", said.next()))
    })
}

/// Takes steps from the base state, and returns what is wrong after one of them.
fn replay(steps: &[Step]) -> Option<String> {
    let mut cluster = Cluster::new();
    steps.iter().find_map(|step| {
        let before = Moment::of(&cluster.objects);
        matches!(cluster.take_and_follow(step), Taken::Admitted)
            .then(|| violation(step, &before, &cluster))
            .flatten()
    })
}

/// Leaves out every step without which the same thing is wrong.
fn shrink(mut steps: Vec<Step>) -> Vec<Step> {
    let mut place = steps.len();
    while place > 0 {
        place -= 1;
        let mut fewer = steps.clone();
        fewer.remove(place);
        if replay(&fewer).is_some() {
            steps = fewer;
            place = place.min(steps.len());
        }
    }
    steps
}

#[derive(Default)]
struct Counts {
    admitted: usize,
    refused: usize,
    invalid: usize,
    preserved: usize,
}

#[test]
fn no_admitted_change_costs_an_address_unseen() {
    let (mut counts, mut found) = (Counts::default(), BTreeMap::new());
    let seeds = seeds(STEPS);
    for seed in seeds.clone() {
        let mut random = Rng::with_seed(seed as u64);
        let (mut cluster, mut taken) = (Cluster::new(), Vec::new());
        for _ in 0..LENGTH {
            let before = Moment::of(&cluster.objects);
            counts.preserved += usize::from(before.has_preserved());
            let step = next(&cluster.objects, &mut random);
            taken.push(step.clone());
            match cluster.take_and_follow(&step) {
                Taken::Admitted => counts.admitted += 1,
                Taken::Refused => counts.refused += 1,
                Taken::Invalid => counts.invalid += 1,
            }
            if let Some(wrong) = violation(&step, &before, &cluster) {
                let shrunk = shrink(taken.clone());
                let said = replay(&shrunk).unwrap_or(wrong);
                // One example of each kind of sequence is enough.
                let kinds: Vec<String> = shrunk
                    .iter()
                    .map(|step| format!("{:?}{}", step.by == By::Controller, step.kind()))
                    .collect();
                found
                    .entry((kinds, said.split(": ").last().map(str::to_owned)))
                    .or_insert((seed, said, shrunk));
                break;
            }
        }
    }
    let Counts { admitted, refused, invalid, preserved } = counts;
    println!(
        "evidence: core: {} steps from seed {}: {admitted} admitted, {refused} refused, {invalid} invalid; an address was preserved \
         before {preserved}",
        admitted + refused + invalid,
        seeds.start
    );
    let mut text = String::new();
    for (seed, said, steps) in found.values() {
        writeln!(text, "\nseed {seed}: {said}").unwrap();
        steps.iter().for_each(|step| writeln!(text, "  {step}").unwrap());
    }
    assert!(found.is_empty(), "{} kinds of ways:{text}", found.len());
    assert!(refused * 20 > admitted && preserved * 3 > admitted, "the search has no power");
}

/// The state in which every search starts is what it must be, by both judgements.
#[test]
fn the_search_starts_with_an_address_that_is_preserved() {
    let cluster = Cluster::new();
    let place = ("istio-ingressgateway".to_owned(), "10.6.229.180".to_owned());
    assert_eq!(fates(&cluster.objects), BTreeMap::from([(place.clone(), Fate::Preserved)]));
    assert_eq!(outcomes(&cluster.inventory()), BTreeMap::from([(place, "Preserved".to_owned())]));
    assert!(cluster.objects.0.values().all(|object| cluster.objects.0.contains_key(&key(object))));
    assert!(list(cluster.objects.get("Service", "istio-ingressgateway").unwrap(), "/spec/ports").len() == 1);
    assert_eq!(
        text(cluster.objects.get("Pod", "gateway-1").unwrap(), "/metadata/namespace"),
        GATEWAY_NAMESPACE
    );
}
