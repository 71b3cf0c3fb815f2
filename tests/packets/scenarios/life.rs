//! Changes in a gateway's life, while requests keep coming.

use super::super::client::Tally;
use super::super::machines::{FIRST, Machine, OTHER, SECOND};
use super::super::stage::{Expected, Stage};
use super::{kept_or, without_node, without_speaker};

/// One gateway node is exchanged for another, and the gateway rolled out.
pub async fn label_moved(stage: &mut Stage, guarded: bool) {
    stage.enter("a node's label moved under traffic", guarded).await;
    stage.careless(guarded).await;
    move_label(stage, kept_or(Expected::Lost, guarded)).await;
}

/// The same, with everything done by hand and right: what is lost meanwhile is not Lockstep's doing.
pub async fn label_moved_by_hand(stage: &mut Stage) {
    stage.enter("the same, everything right by hand: a label moved", false).await;
    stage.by_hand().await;
    move_label(stage, Expected::Kept).await;
}

async fn move_label(stage: &mut Stage, expected: Expected) {
    under_traffic(stage, expected, &[], async |stage| {
        stage.label(&[OTHER, SECOND]).await;
        stage.roll_out().await;
    })
    .await;
}

/// A new version of the gateway: with everything done by hand and right, and with Lockstep doing it.
pub async fn rolled_out(stage: &mut Stage) {
    let mut lost = [0, 0];
    for guarded in [false, true] {
        stage.enter("the gateway rolled out under traffic", guarded).await;
        stage.right(guarded).await;
        stage.measure("before", Expected::Kept).await;
        let steady = stage.steady("meanwhile");
        for _ in 0..2 {
            stage.roll_out().await;
            stage.cluster.traffic().await;
        }
        let tallies = stage.stop(steady, "meanwhile", Expected::Kept).await;
        lost[usize::from(guarded)] = tallies.iter().map(Tally::lost).sum();
    }
    let [without, with] = lost;
    stage.note(format!("requests lost in two rollouts: {without} without Lockstep, {with} with it"));
    assert!(with <= without, "Lockstep adds to what a rollout loses");
}

/// The node that announces is emptied; without Lockstep, one on which the gateway happens to be.
pub async fn drained(stage: &mut Stage, guarded: bool) {
    stage.enter("a gateway node drained under traffic", guarded).await;
    stage.careless(guarded).await;
    let node = if guarded { FIRST } else { stage.busy_node().await };
    // With `Cluster`, a node without a gateway pod goes on announcing, and so does one that is drained.
    let what_if = if guarded { without_node(FIRST).to_vec() } else { Vec::new() };
    drain(stage, node, kept_or(Expected::Lost, guarded), &what_if).await;
}

/// The same, with everything done by hand and right: what is lost meanwhile is not Lockstep's doing.
pub async fn drained_by_hand(stage: &mut Stage) {
    stage.enter("the same, everything right by hand: a node drained", false).await;
    stage.by_hand().await;
    drain(stage, FIRST, Expected::Kept, &without_node(FIRST)).await;
}

async fn drain(stage: &mut Stage, node: Machine, expected: Expected, what_if: &[&str]) {
    under_traffic(stage, expected, what_if, async |stage| stage.drain(node).await).await;
}

/// The speaker that announces crashes.
pub async fn speaker_killed(stage: &mut Stage, guarded: bool) {
    stage.enter("a speaker killed under traffic", guarded).await;
    stage.careless(guarded).await;
    let announcer = if guarded { FIRST } else { OTHER };
    let what_if = without_speaker(announcer);
    let what_if = what_if.each_ref().map(String::as_str);
    under_traffic(stage, kept_or(Expected::Lost, guarded), &what_if, async |stage| {
        stage.cluster.kill_speaker(announcer).await;
        stage.cluster.speaker_is_missed(announcer).await;
    })
    .await;
}

/// The node that announces loses its power.
pub async fn node_failed(stage: &mut Stage, guarded: bool) {
    stage.enter("a gateway node fails", guarded).await;
    stage.right(guarded).await;
    stage.measure("before", Expected::From(FIRST)).await;
    stage.predict(without_node(FIRST)).await;
    stage.cluster.power_off(FIRST).await;
    stage.cluster.speaker_is_missed(FIRST).await;
    stage.measure("after", Expected::From(SECOND)).await;
}

/// Something happens while requests keep coming. Before, meanwhile and after, they must show the same. Where `explain` can
/// suppose what happens, it predicts who has the address in the end.
async fn under_traffic(
    stage: &mut Stage,
    expected: Expected,
    what_if: &[&str],
    happens: impl AsyncFnOnce(&mut Stage),
) {
    stage.measure("before", expected).await;
    if !what_if.is_empty() {
        stage.predict(what_if.iter().copied()).await;
    }
    let steady = stage.steady("meanwhile");
    happens(stage).await;
    stage.cluster.traffic().await;
    stage.stop(steady, "meanwhile", expected).await;
    stage.measure("after", expected).await;
}
