//! The Service's policy.

use serde_json::json;

use super::super::objects::{deployment, placed, right, service, with_policy};
use super::super::stage::{Expected, Stage};
use super::{SERVICE, kept_or};

/// All is right, but the Service is installed with `Cluster`.
pub async fn cluster(stage: &mut Stage, guarded: bool) {
    stage.enter("policy Cluster", guarded).await;
    stage.gateway(&placed(deployment())).await;
    stage.make(&with_policy(service(), "Cluster")).await;
    stage.make(&right()).await;
    assert_eq!(stage.policy().await, if guarded { "Local" } else { "Cluster" });
    stage.measure("installed", kept_or(Expected::Lost, guarded)).await;
}

/// All is right, and then somebody patches the Service.
pub async fn by_hand(stage: &mut Stage, guarded: bool) {
    stage.enter("Service switched to Cluster by hand", guarded).await;
    stage.by_hand().await;
    stage.measure("before", Expected::Kept).await;
    if !guarded {
        stage.predict_with(&with_policy(service(), "Cluster")).await;
    }
    stage.cluster.patch(SERVICE, &json!({"spec": {"externalTrafficPolicy": "Cluster"}})).await;
    assert_eq!(stage.policy().await, if guarded { "Local" } else { "Cluster" });
    stage.measure("after the switch", kept_or(Expected::Lost, guarded)).await;
}
