//! Announcements from other nodes than the gateway's.

use serde_json::json;

use super::super::machines::{FIRST, OTHER};
use super::super::objects::{
    ARP, LABEL, advertisement, deployment, everywhere, placed, right, service, with_policy,
};
use super::super::stage::{Expected, Stage};
use super::{kept_or, without_node};
use lockstep_test_support::api;

/// The path of the chart's topology.
const TOPOLOGY: &str = "/apis/lockstep.dev/v1alpha1/gatewaytopologies/istio-ingressgateway";

/// The pool is announced from every node, and nobody has set a policy.
pub async fn wider(stage: &mut Stage, guarded: bool) {
    stage.enter("announced wider", guarded).await;
    stage.gateway(&placed(deployment())).await;
    stage.make(&service()).await;
    stage.advertise(&advertisement("default", None), "WIDER", guarded).await;
    stage.measure("installed", kept_or(Expected::Lost, guarded)).await;
}

/// The pool is announced from one gateway node only, which is emptied later.
pub async fn narrower(stage: &mut Stage, guarded: bool) {
    stage.enter("announced narrower", guarded).await;
    stage.gateway(&placed(deployment())).await;
    stage.make(&with_policy(service(), "Local")).await;
    let one = json!([{"matchLabels": {LABEL: ARP, "kubernetes.io/hostname": FIRST.name}}]);
    stage.advertise(&advertisement("default", Some(one)), "NARROWER", guarded).await;
    stage.measure("installed", Expected::Kept).await;
    stage.predict(without_node(FIRST)).await;
    stage.drain(FIRST).await;
    let expected = kept_or(Expected::Silence("NODE_NOT_SELECTED"), guarded);
    stage.measure("that node drained", expected).await;
}

/// The pool is announced from nodes that nobody has labelled so.
pub async fn disjoint(stage: &mut Stage, guarded: bool) {
    stage.enter("announced disjoint", guarded).await;
    stage.gateway(&placed(deployment())).await;
    stage.make(&with_policy(service(), "Local")).await;
    let typo = json!([{"matchLabels": {LABEL: "ARP"}}]);
    stage.advertise(&advertisement("default", Some(typo)), "DISJOINT", guarded).await;
    let expected = kept_or(Expected::Silence("NODE_NOT_SELECTED"), guarded);
    stage.measure("installed", expected).await;
}

/// The right advertisement is there; somebody adds one for every node, and scales the gateway up.
pub async fn second(stage: &mut Stage, guarded: bool) {
    stage.enter("a second, broad advertisement", guarded).await;
    stage.gateway(&everywhere(deployment())).await;
    stage.make(&with_policy(service(), "Local")).await;
    stage.make(&right()).await;
    stage.measure("before", Expected::Kept).await;
    if !guarded {
        stage.predict_with(&advertisement("second", None)).await;
    }
    let answer = stage.offer(&advertisement("second", None)).await;
    if guarded {
        let refusal = answer.unwrap_err();
        assert!(refusal.starts_with("WIDER: "), "{refusal}");
        stage.note(format!("the second advertisement was refused: {refusal}"));
    } else {
        assert!(answer.is_ok(), "{answer:?}");
    }
    let expected = kept_or(Expected::From(OTHER), guarded);
    stage.measure("after the second", expected).await;
}

/// No labels and no selectors: the gateway may run everywhere, every node may announce, and `Local` does the rest.
pub async fn covering(stage: &mut Stage, guarded: bool) {
    stage.enter("announced from everywhere on purpose", guarded).await;
    stage.unlabel().await;
    let covering = json!({"spec": {"placement": {"nodeSelector": {LABEL: null}}, "announcements": {"match": "Covering"}}});
    stage.cluster.patch(TOPOLOGY, &covering).await;
    let wide = advertisement("default", None);
    if guarded {
        stage
            .cluster
            .settled("the covering topology", async || {
                api::post(&stage.cluster.client, &wide, true).await.status.is_success()
            })
            .await;
    }
    stage.gateway(&deployment()).await;
    stage.make(&service()).await;
    stage.make(&wide).await;
    if guarded {
        assert!(
            stage.pods().await.iter().all(|pod| pod["spec"]["nodeSelector"].is_null()),
            "a pod was placed"
        );
    }
    stage.measure("installed", kept_or(Expected::Lost, guarded)).await;
    if guarded {
        let node = stage.busy_node().await;
        stage.drain(node).await;
        stage.measure("a node drained", Expected::Kept).await;
    }
    let seed =
        json!({"spec": {"placement": {"nodeSelector": {LABEL: ARP}}, "announcements": {"match": "Exact"}}});
    stage.cluster.patch(TOPOLOGY, &seed).await;
}
