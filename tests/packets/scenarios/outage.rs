//! Lockstep itself is down.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::objects::{advertisement, service, with_policy};
use super::super::stage::{Expected, Stage, said};
use super::{SERVICE, kept_or};
use lockstep_test_support::api::call;

/// Somebody switches the Service and adds a broad advertisement while no replica runs.
pub async fn webhook_down(stage: &mut Stage, guarded: bool) {
    stage.enter("webhook down under traffic", guarded).await;
    stage.right(guarded).await;
    stage.measure("before", Expected::Kept).await;
    if guarded {
        stage.lockstep.crash().await;
    }
    let steady = guarded.then(|| stage.steady("meanwhile"));
    if !guarded {
        let both = [with_policy(service(), "Cluster"), advertisement("second", None)];
        stage.predict_with(&json!({"apiVersion": "v1", "kind": "List", "items": both})).await;
    }
    let switched = switch(stage).await;
    let announced = stage.offer(&advertisement("second", None)).await;
    for answer in [&switched, &announced] {
        match answer {
            Ok(_) => assert!(!guarded, "it was stored unchecked"),
            Err(said) => assert!(guarded && said.contains("failed calling webhook"), "{said}"),
        }
    }
    if let Some(steady) = steady {
        stage.note(format!("while no replica ran: {}", announced.unwrap_err()));
        stage.cluster.traffic().await;
        stage.stop(steady, "meanwhile", Expected::Kept).await;
    }
    let expected = kept_or(Expected::Lost, guarded);
    stage.measure("after", expected).await;
}

async fn switch(stage: &Stage) -> Result<Value, String> {
    let patch = json!({"spec": {"externalTrafficPolicy": "Cluster"}});
    let content_type = "application/merge-patch+json";
    let answer = call(&stage.cluster.client, Method::PATCH, SERVICE, content_type, &patch).await;
    said(answer)
}
