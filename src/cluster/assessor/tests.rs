//! Each state of `tests/cases/state`, as watches would receive it, change by change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::http::Response;
use kube::client::Body;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tower::service_fn;

use super::super::decode::ReceivedObject;
use super::super::kinds::Target;
use super::super::store::{Stores, Update, WatchId};
use super::*;
use crate::assessment::Assessment;
use crate::election::MetalLbVersion;
use crate::labels::{Labels, carries};
use crate::snapshot::{ObjectKey, Snapshot};

/// Stores with the assessments that are kept current from them.
#[derive(Default)]
struct World {
    stores: Stores,
    open: BTreeMap<Target, WatchId>,
    current: CurrentAssessments,
    snapshot: Option<Snapshot>,
    last: u64,
}

impl World {
    /// Opens the watches that are wanted and missing, each with the objects that it would list.
    fn follow(&mut self, objects: &[Value]) {
        loop {
            let wanted = self.stores.wanted();
            let gone: Vec<Target> =
                self.open.keys().filter(|target| !wanted.contains(target)).cloned().collect();
            for target in gone {
                self.stores.close(self.open.remove(&target).unwrap());
            }
            let Some(target) = wanted.into_iter().find(|target| !self.open.contains_key(target)) else {
                return;
            };
            self.last = self.last.saturating_add(1);
            let id = WatchId(self.last);
            self.stores.open(id, target.clone());
            let listed = objects.iter().filter(|object| is_in(&target, object));
            let listed = listed.map(|object| (key(object), target.kind.decode(received(object)))).collect();
            self.stores.apply(id, Update::Listed(listed));
            self.open.insert(target, id);
        }
    }

    /// Applies one change of an object, and checks the assessments after it.
    fn change(&mut self, objects: &[Value], before: Option<&Value>, after: Option<&Value>, what: &str) {
        for (target, id) in self.open.clone() {
            let was = before.is_some_and(|object| is_in(&target, object));
            let update = match after.filter(|object| is_in(&target, object)) {
                Some(object) => Update::Applied(key(object), target.kind.decode(received(object))),
                None if was => Update::Deleted(key(before.unwrap())),
                None => continue,
            };
            let effect = self.stores.apply(id, update);
            if effect.on_rules {
                self.snapshot = None;
            }
        }
        self.follow(objects);
        self.check(what);
    }

    /// Updates the assessments, and compares them with those of the whole state.
    fn check(&mut self, what: &str) {
        let (inventory, changes) = self.stores.settled().expect("every watch has a list");
        let snapshot = self.snapshot.get_or_insert_with(|| Snapshot::new(&inventory));
        let version = MetalLbVersion::default();
        self.current.update(&inventory, snapshot, version, &changes);
        let whole = Assessment::of(&inventory, version);
        let kept: Vec<&TopologyAssessment> = self.current.topologies().values().map(AsRef::as_ref).collect();
        assert_eq!(kept, whole.topologies.iter().collect::<Vec<_>>(), "{what}");
    }
}

fn received(object: &Value) -> ReceivedObject {
    serde_json::from_value::<DynamicObject>(object.clone()).unwrap().into()
}

fn key(object: &Value) -> ObjectKey {
    received(object).key()
}

fn is_in(target: &Target, object: &Value) -> bool {
    let resource = target.kind.resource();
    let labels: Labels = serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
    object["kind"] == resource.kind
        && object["apiVersion"] == resource.api_version
        && target.namespace.as_ref().is_none_or(|namespace| *namespace == key(object).namespace)
        && carries(&labels, &target.labels)
}

/// The objects of a state, as a cluster would serve them.
fn objects(path: &Path) -> Vec<Value> {
    let loaded = crate::manifests::load(&[path.to_owned()], &mut std::io::empty());
    let mut objects: Vec<Value> = loaded.documents.into_iter().map(|document| document.value).collect();
    for object in &mut objects {
        let is_global = matches!(object["kind"].as_str(), Some("Node" | "Namespace" | "GatewayTopology"));
        if !is_global && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("default");
        }
    }
    if !objects.iter().any(|object| object["kind"] == "GatewayTopology") {
        let spec = json!({});
        objects.push(json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": "one"}, "spec": spec}));
    }
    // A second topology, which most changes do not concern.
    objects.push(json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": "two"}, "spec": {
        "gateway": {"namespace": "elsewhere", "podLabels": {"app": "other"}},
        "placement": {"nodeSelector": {"elsewhere": "yes"}},
        "addressPools": ["other-pool"],
    }}));
    objects
}

fn states() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/state");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut states: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    states.sort();
    states
}

/// Changes of an object that a cluster could see.
fn variants(object: &Value) -> Vec<Value> {
    let with = |pointer: &str, value: Value| {
        let mut changed = object.clone();
        let (parents, field) = pointer.rsplit_once('/').unwrap();
        let mut at = &mut changed;
        for parent in parents.split('/').skip(1) {
            at = &mut at[parent];
        }
        at[field] = value;
        changed
    };
    match object["kind"].as_str().unwrap() {
        "Node" => vec![
            with("/metadata/labels", json!({})),
            with("/metadata/labels", json!({"loadbalancerIPs.metallb.io": "arp", "elsewhere": "yes"})),
            with("/spec/taints", json!([{"key": "a", "effect": "NoSchedule"}])),
            with("/status/conditions", json!([{"type": "NetworkUnavailable", "status": "True"}])),
        ],
        "Service" => vec![
            with("/spec/externalTrafficPolicy", json!("Cluster")),
            with("/status/loadBalancer", json!({"ingress": []})),
        ],
        "Pod" => vec![with("/spec/nodeName", json!("gone")), with("/status/conditions", json!([]))],
        "EndpointSlice" => vec![with("/endpoints", json!([]))],
        "L2Advertisement" => {
            vec![with("/spec", json!({})), with("/spec/ipAddressPools", json!(["other-pool"]))]
        }
        "IPAddressPool" => vec![with("/spec/addresses", json!(["198.51.100.0/24"]))],
        _ => vec![],
    }
}

#[test]
fn after_every_change_the_assessments_are_those_of_the_whole_state() {
    let states = states();
    assert!(states.len() >= 40, "only {} states were found", states.len());
    let mut changes = 0_usize;
    for state in states {
        let name = state.file_name().unwrap().to_string_lossy().into_owned();
        let mut objects = objects(&state);
        let mut world = World::default();
        world.follow(&objects);
        world.check(&name);
        for index in 0..objects.len() {
            let object = objects[index].clone();
            for variant in variants(&object) {
                let what = format!("{name}: {object} became {variant}");
                objects[index] = variant.clone();
                world.change(&objects, Some(&object), Some(&variant), &what);
                objects[index] = object.clone();
                world.change(&objects, Some(&variant), Some(&object), &format!("{what} and back"));
                changes = changes.saturating_add(2);
            }
            let what = format!("{name}: {object} was deleted");
            let kept = objects.remove(index);
            world.change(&objects, Some(&kept), None, &what);
            objects.insert(index, kept);
            world.change(&objects, None, Some(&object), &format!("{what} and created"));
            changes = changes.saturating_add(2);
        }
    }
    assert!(changes > 1000, "only {changes} changes were made");
}

#[test]
fn states_that_were_not_assessed_are_merged_and_no_change_is_lost() {
    let waiting = Arc::new(Waiting::default());
    let sender = StateSender(Arc::clone(&waiting));
    let state = |topology: &str| {
        let mut changes = Changes::default();
        changes.add_topology(topology);
        Some((Arc::<Inventory>::default(), Arc::<Snapshot>::default(), changes))
    };
    let changes = || waiting.take().unwrap().unwrap().2;
    sender.send(state("one"));
    sender.send(state("two"));
    let mut both = Changes::default();
    both.add_topology("one");
    both.add_topology("two");
    assert_eq!(changes(), both);
    assert!(waiting.take().is_none());

    // A gap that the assessor has not seen.
    sender.send(state("one"));
    sender.send(None);
    sender.send(state("two"));
    let mut expected = both;
    expected.merge(Changes::everything());
    assert_eq!(changes(), expected);
}

/// Reviews detect MetalLB's version by the same kinds as assessments.
#[tokio::test]
async fn the_kinds_that_the_cluster_serves_reach_reviews() {
    let kinds = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metallb.io/v1beta1", "resources": [
        {"name": "addresspools", "singularName": "", "namespaced": true, "kind": "AddressPool", "verbs": ["list"]},
    ]});
    let service = service_fn(move |_: axum::http::Request<Body>| {
        let response = Response::new(Body::from(kinds.to_string().into_bytes()));
        async move { Ok::<_, kube::Error>(response) }
    });
    let (sender, _assessments, keeping) = assessor(Client::new(service, "default"), WatchMetrics::default());
    let read = async {
        while sender.metallb_kinds().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        error = keeping => panic!("{error}"),
        read = timeout(KINDS_WITHIN, read) => read.unwrap(),
    }
    assert_eq!(*sender.metallb_kinds(), BTreeSet::from(["addresspools".to_owned()]));
}
