//! Changes of the gateway nodes, which no webhook sees, so that it is the same with Lockstep: `explain` must name the cause. And
//! changes of the last advertisement and its pool, which Lockstep refuses.

use serde_json::{Value, json};

use super::super::machines::{FIRST, Machine, SECOND};
use super::super::objects::{
    EXCLUDE, LABEL, deployment, labelled, of_tier, placed, pool, right, service, tolerating, with_policy,
    without_network,
};
use super::super::stage::{Expected, Stage};
use super::without_speaker;

/// The gateway nodes.
const BOTH: [Machine; 2] = [FIRST, SECOND];

/// The label of the pool that the last advertisement selects.
const TIER: &str = "ingress";

/// All of it, on one stage.
pub async fn cannot_announce(stage: &mut Stage, guarded: bool) {
    stage.enter("gateway nodes excluded from load balancers", guarded).await;
    let deployment = tolerating(deployment());
    if guarded {
        stage.gateway(&deployment).await;
        stage.make(&service()).await;
    } else {
        stage.gateway(&placed(deployment)).await;
        stage.make(&with_policy(service(), "Local")).await;
    }
    stage.make(&right()).await;
    stage.measure("before", Expected::From(FIRST)).await;
    stage.predict(label(FIRST, &format!("{EXCLUDE}="))).await;
    stage.exclude(FIRST, true).await;
    stage.measure("one excluded", Expected::From(SECOND)).await;
    stage.predict(label(SECOND, &format!("{EXCLUDE}="))).await;
    stage.exclude(SECOND, true).await;
    stage.measure("both excluded", Expected::Silence("NODE_EXCLUDED")).await;
    stage.repair(&BOTH).await;

    stage.go_on("gateway nodes without a network");
    stage.measure("before", Expected::From(FIRST)).await;
    stage.predict_with(&without_network(FIRST)).await;
    stage.set_network(FIRST, false).await;
    stage.measure("one without", Expected::From(SECOND)).await;
    stage.predict_with(&without_network(SECOND)).await;
    stage.set_network(SECOND, false).await;
    stage.measure("both without", Expected::Silence("NETWORK_UNAVAILABLE")).await;
    stage.repair(&BOTH).await;

    stage.go_on("gateway nodes tainted, speakers evicted");
    stage.measure("before", Expected::From(FIRST)).await;
    stage.predict(BOTH.iter().flat_map(|node| without_speaker(*node))).await;
    for node in BOTH {
        stage.taint(node, true).await;
        stage.cluster.speaker_is_evicted(node).await;
    }
    stage.measure("both tainted", Expected::Silence("NO_SPEAKER")).await;
    stage.repair(&BOTH).await;

    stage.go_on("gateway nodes lose their label");
    stage.measure("before", Expected::From(FIRST)).await;
    stage.predict(BOTH.iter().flat_map(|node| label(*node, &format!("{LABEL}-")))).await;
    stage.label(&[]).await;
    stage.measure("both unlabelled", Expected::Silence("NODE_NOT_SELECTED")).await;
    stage.label(&BOTH).await;

    stage.go_on("the last advertisement deleted");
    stage.measure("before", Expected::From(FIRST)).await;
    if !guarded {
        stage.predict(["--without", "L2Advertisement/default"]).await;
    }
    let answer = stage.remove(&right()).await;
    silenced(stage, "deleted", answer, guarded).await;

    stage.go_on("the pool relabelled");
    stage.label_pool(Some(TIER)).await.unwrap();
    let mut by_label = of_tier(right(), TIER);
    by_label["metadata"]["name"] = json!("by-label");
    stage.make(&by_label).await;
    if guarded {
        // Once Lockstep has seen the other one, the first one is no longer the last.
        stage.cluster.settled("the deletion", async || stage.remove(&right()).await.is_ok()).await;
    }
    stage.measure("advertised by its label", Expected::From(FIRST)).await;
    if !guarded {
        stage.predict_with(&labelled(pool(), "retired")).await;
    }
    let answer = stage.label_pool(Some("retired")).await;
    silenced(stage, "relabelled", answer, guarded).await;
}

/// A change has silenced the addresses; with Lockstep, it was refused and nothing has changed.
async fn silenced(stage: &mut Stage, what: &'static str, answer: Result<Value, String>, guarded: bool) {
    if guarded {
        let refusal = answer.unwrap_err();
        assert!(refusal.starts_with("SILENT: "), "{refusal}");
        stage.note(format!("it was refused: {refusal}"));
        stage.measure(what, Expected::From(FIRST)).await;
    } else {
        answer.unwrap();
        stage.measure(what, Expected::Silence("NOT_ADVERTISED")).await;
    }
}

/// The change of a node's label.
fn label(node: Machine, change: &str) -> [String; 2] {
    ["--label-node".to_owned(), format!("{}:{change}", node.name)]
}
