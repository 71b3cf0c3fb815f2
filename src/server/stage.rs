//! Where the server is on its way from start to end.

use tokio::sync::watch;

/// The stages of a server's life; they only ever follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Everything is served.
    Serving,
    /// Everything is still served, but no client is invited to stay.
    Draining,
    /// Nothing new is accepted; open connections finish what they have begun.
    Closing,
    /// Everything still open is dropped.
    Cut,
}

/// Moves the server from stage to stage. Dropping it counts as [`Stage::Cut`].
#[derive(Debug)]
pub(super) struct Lead(watch::Sender<Stage>);

impl Lead {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }

    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    pub(super) fn follow(&self) -> Follow {
        Follow(self.0.subscribe())
    }
}

/// Sees in which stage the server is.
#[derive(Debug, Clone)]
pub(super) struct Follow(watch::Receiver<Stage>);

impl Follow {
    /// Whether `stage` has been entered, or a later one.
    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    /// Waits until `stage` is entered, or a later one.
    pub(super) async fn reached(&mut self, stage: Stage) {
        // An error says that the lead is gone, and nothing may outlive it.
        let _ = self.0.wait_for(|now| *now >= stage).await;
    }
}
