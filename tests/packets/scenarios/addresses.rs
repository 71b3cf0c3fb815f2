//! Addresses that are shared, or come from another pool.

use serde_json::json;

use super::super::machines::SECOND_GATEWAY;
use super::super::objects::{
    advertisement, deployment, of_pool, other_service, placed, right, second_pool, service, sharing,
    status_service, with_policy,
};
use super::super::stage::{Expected, Stage};
use super::{SERVICE, kept_or};
use lockstep_test_support::api;

/// Two Services of the gateway share one address, and somebody sets the policy of one of them. MetalLB lets Services share
/// only if their policies are the same.
pub async fn shared(stage: &mut Stage, guarded: bool) {
    stage.enter("an address shared by two Services", guarded).await;
    stage.gateway(&placed(deployment())).await;
    for service in [sharing(service()), sharing(status_service())] {
        stage.make(&service).await;
        stage.has_addresses(&service).await;
    }
    stage.make(&right()).await;
    stage.measure("installed", kept_or(Expected::Lost, guarded)).await;
    stage.predict_with(&with_policy(sharing(service()), "Local")).await;
    stage.cluster.patch(SERVICE, &json!({"spec": {"externalTrafficPolicy": "Local"}})).await;
    let expected = kept_or(Expected::Silence("NO_ADDRESS"), guarded);
    stage.measure("one switched to Local by hand", expected).await;
    let path = api::path_of(&status_service());
    stage.cluster.patch(&path, &json!({"spec": {"externalTrafficPolicy": "Local"}})).await;
    stage.measure("and the other one", Expected::Kept).await;
}

/// The gateway's pool has no address left, and MetalLB takes one from another pool.
pub async fn second_pool_taken(stage: &mut Stage, guarded: bool) {
    stage.enter("the address comes from a second pool", guarded).await;
    stage.make(&second_pool()).await;
    stage.make(&other_service()).await;
    stage.has_addresses(&other_service()).await;
    stage.gateway(&deployment()).await;
    stage.make(&service()).await;
    stage.make(&right()).await;
    stage.expect_addresses(SECOND_GATEWAY);
    let explanation = stage.measure("installed", Expected::Silence("NOT_ADVERTISED")).await;
    assert!(explanation.findings().contains(&"OTHER_POOL"), "{:?}", explanation.findings());
    let everywhere = of_pool(advertisement("second", None), "second-pool");
    stage.predict_with(&everywhere).await;
    stage.make(&everywhere).await;
    stage.measure("that pool announced from everywhere", kept_or(Expected::Lost, guarded)).await;
}
