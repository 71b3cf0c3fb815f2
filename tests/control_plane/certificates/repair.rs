//! Repair of the Secret and of `caBundle` after a change by another client.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use lockstep::tls::ca::{CaSet, Lifetimes};
use serde_json::{Value, json};

use super::world::{World, create_namespace, until};
use lockstep_test_support::control_plane::ControlPlane;

const JSON_PATCH: &str = "application/json-patch+json";

/// Returns a configuration without the metadata that changes with every write.
fn lasting(configuration: &Value) -> Value {
    let mut lasting = configuration.clone();
    let metadata = lasting["metadata"].as_object_mut().unwrap();
    for field in ["resourceVersion", "generation", "managedFields"] {
        drop(metadata.remove(field));
    }
    lasting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_ca_bundle_is_repaired_and_nothing_else_is_changed() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World::create(&client, "lockstep").await;
    let before = world.configurations().await.each_ref().map(lasting);
    let mut replica = world.replica().await;
    replica.ready().await;
    let ca = world.data("ca.crt").await.unwrap();
    let is_whole = async || world.bundles().await == vec![ca.clone(); 4];
    assert!(is_whole().await);

    let mut after = world.configurations().await.each_ref().map(lasting);
    for webhook in after.iter_mut().flat_map(|one| one["webhooks"].as_array_mut().unwrap()) {
        drop(webhook["clientConfig"].as_object_mut().unwrap().remove("caBundle"));
    }
    assert_eq!(after, before);

    // A manifest without `caBundle` that is applied again removes it, and another controller may write its own.
    let [mutating, validating] = world.configuration_paths();
    let path = "/webhooks/1/clientConfig/caBundle";
    let removal = json!([{"op": "remove", "path": path}]);
    world.patch(&mutating, JSON_PATCH, &removal).await;
    until("the removed bundle is back", is_whole).await;
    let foreign = control_plane.ca_pem();
    let foreign = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, foreign);
    world.patch(&validating, JSON_PATCH, &json!([{"op": "replace", "path": path, "value": foreign}])).await;
    until("the foreign bundle is replaced", is_whole).await;

    world.delete_configurations().await;
    world.create_configurations().await;
    until("new configurations have it", is_whole).await;
    assert_eq!(world.data("ca.crt").await.unwrap(), ca);
    assert!(replica.readiness.borrow().is_ok());
    assert!(replica.metrics().contains("ca_rotations_total 0\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_or_recreated_secret_is_restored() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World::create(&client, "lockstep").await;
    let (mut one, mut other) = (world.replica().await, world.replica().await);
    one.ready().await;
    other.ready().await;
    let data = world.secret().await["data"].clone();
    let issuer = one.issuer();
    let is_back = async || world.secret().await["data"] == data;

    world.patch_secret(&json!({"data": null})).await;
    until("the wiped Secret is filled", is_back).await;
    world.delete_secret().await;
    until("its absence is noticed", async || one.metrics().contains("ca_passes_total{result=\"failed\"} 1"))
        .await;
    world.create_secret().await;
    until("the new Secret is filled", is_back).await;

    assert_eq!(world.bundles().await, vec![world.data("ca.crt").await.unwrap(); 4]);
    for replica in [&mut one, &mut other] {
        assert!(replica.readiness.borrow().is_ok(), "the replica stays ready meanwhile");
        assert_eq!(replica.issuer(), issuer);
    }
    let secret = world.secret().await;
    assert_eq!(
        (secret["type"].as_str(), secret["metadata"]["labels"]["app"].as_str()),
        (Some("Opaque"), Some("lockstep"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requested_rotation_is_performed_once_and_keeps_unknown_keys() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World::create(&client, "lockstep").await;
    let lifetimes = Lifetimes { propagation: Duration::from_millis(300), ..Lifetimes::default() };
    let mut one = world.replica_as(client.clone(), lifetimes).await;
    let mut other = world.replica_as(client.clone(), lifetimes).await;
    one.ready().await;
    other.ready().await;
    let (first, issuer) = (world.data("ca.crt").await.unwrap(), one.issuer());

    world.patch_secret(&json!({"stringData": {"rotate": "", "note": "mine"}})).await;
    until("the old CA signs no more", async || world.data("ca-old.crt").await.as_ref() == Some(&first)).await;
    let second = world.data("ca.crt").await.unwrap();
    assert_ne!(second, first);
    until("both serve a leaf of the new one", async || {
        one.issuer() != issuer && one.issuer() == other.issuer()
    })
    .await;
    assert_eq!(world.bundles().await, vec![format!("{first}{second}"); 4]);
    for key in ["ca-next.crt", "ca-next.key", "published-at", "rotate"] {
        assert_eq!(world.data(key).await, None, "{key}");
    }
    assert!(world.data("retired-at").await.is_some());
    assert_eq!(world.data("note").await.unwrap(), "mine");
    let rotations = |replica: &super::world::Replica| replica.metrics().contains("ca_rotations_total 1\n");
    assert!(rotations(&one) != rotations(&other), "exactly one replica rotated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_expired_while_no_replica_ran_is_replaced() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let world = World::create(&client, "lockstep").await;
    let lifetimes = Lifetimes::default();
    let long_ago = Timestamp::now() - (lifetimes.ca + Duration::from_secs(60));
    let expired = CaSet::generate(&lifetimes, long_ago).unwrap();
    let data: BTreeMap<_, _> =
        expired.data().into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect();
    world.patch_secret(&json!({"stringData": data})).await;

    let (mut one, mut other) = (world.replica().await, world.replica().await);
    one.ready().await;
    other.ready().await;
    assert_eq!(one.issuer(), other.issuer());
    assert_ne!(one.issuer().unwrap(), expired.current.certificate().serial());
    let current = world.data("ca.crt").await.unwrap();
    until("every configuration has the new one", async || {
        world.bundles().await.iter().all(|bundle| bundle.contains(current.trim_end()))
    })
    .await;
}
