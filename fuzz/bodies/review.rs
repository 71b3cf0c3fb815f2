//! Reviews: any body is answered or refused without a panic.
//!
//! An answer has the uid of the request and the type v1. It allows only what a verdict allows, and what the rules allow it allows. A body
//! is decoded alike with and without the lists that no rule reads.

use std::sync::LazyLock;

use lockstep::admission::{Body, Decision, Review, decode, review};
use lockstep::change::{Change, Phase};
use lockstep::snapshot::{Inventory, KnownState, Snapshot, Source};
use serde::de::IgnoredAny;
use serde_json::Value;

pub(super) fn body(bytes: &[u8]) {
    for phase in Phase::ALL {
        let body = Body::new(bytes);
        if let Ok(answered) = review(&body, phase, &SNAPSHOT) {
            assert_is_answer(&answered, phase);
        }
    }
    if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        assert_eq!(change(&Body::new(bytes)), change(&Body::whole(bytes)));
    }
}

fn change(body: &Body<'_>) -> Result<Option<Change>, String> {
    decode(body).map(|request| request.change).map_err(|error| error.to_string())
}

fn assert_is_answer(review: &Review<'_>, phase: Phase) {
    let answer: Value = serde_json::from_slice(&review.response).expect("an answer is JSON");
    assert_eq!(
        (&answer["apiVersion"], &answer["kind"]),
        (&"admission.k8s.io/v1".into(), &"AdmissionReview".into())
    );
    let answer = &answer["response"];
    assert_eq!(answer["uid"], *review.request.uid);
    assert!(!review.request.uid.is_empty());
    let is_allowed = match &review.decision {
        // A workload is allowed with a warning, because its pods are judged.
        Decision::Undecodable { is_denied, .. } => {
            assert_eq!(answer["status"]["code"] == 400, *is_denied);
            !is_denied
        }
        Decision::Judged { verdict, patch } => {
            assert_eq!(answer.get("patch").is_some(), patch.is_some());
            assert!(patch.is_none() || (phase == Phase::Mutate && !verdict.is_denied()));
            assert_eq!(verdict.is_denied(), answer["status"]["code"] == 403);
            !verdict.is_denied()
        }
    };
    assert_eq!(answer["allowed"], is_allowed);
    if let Some(message) = answer["status"]["message"].as_str() {
        assert!(message.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{message:?}");
    }
}

/// A cluster with gateway nodes, others, a pool and an advertisement that is too wide.
pub(super) static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| snapshot(inventory()));

/// The snapshot of a cluster whose whole state is known.
pub(super) fn snapshot(mut inventory: Inventory) -> Snapshot {
    inventory.read = Source::ALL.into_iter().collect();
    let snapshot = Snapshot::new(&inventory);
    let inventory = std::sync::Arc::new(inventory);
    snapshot.with_state(Some(KnownState { inventory, metallb_kinds: std::sync::Arc::default() }))
}

/// The objects of [`SNAPSHOT`].
pub(super) fn inventory() -> Inventory {
    let mut inventory = Inventory::default().or_built_in();
    let spec = &inventory.topologies.values().next().expect("there is a built-in topology").spec;
    let (gateway, pool) = (spec.placement.node_selector.clone(), spec.address_pools.first().cloned());
    let metallb = |name: &str| lockstep::snapshot::ObjectKey {
        namespace: spec.metallb_namespace.clone(),
        name: name.to_owned(),
    };
    let (pool, advertisement) = (metallb(&pool.unwrap_or_default()), metallb("wide"));
    inventory.nodes.insert("a".to_owned(), std::sync::Arc::new(gateway));
    inventory.nodes.insert("b".to_owned(), std::sync::Arc::default());
    inventory
        .advertisements
        .insert(advertisement, serde_json::from_value(serde_json::json!({})).expect("it is valid"));
    inventory.pools.insert(pool, lockstep::labels::Labels::default());
    inventory
}
