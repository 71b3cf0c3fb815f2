//! The seed's procedure, for people who make every mistake in it.

use super::super::stage::{Expected, Stage};
use super::kept_or;

/// Two nodes are labelled, and everything is installed as it comes.
pub async fn seed(stage: &mut Stage, guarded: bool) {
    stage.enter("the seed's procedure, with every mistake", guarded).await;
    stage.careless(guarded).await;
    if guarded {
        stage.assert_in_lockstep().await;
    }
    stage.measure("installed", kept_or(Expected::Lost, guarded)).await;
}
