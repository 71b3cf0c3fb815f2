//! Where the server is on its way from start to end.

use tokio::sync::watch;

/// The stages of a server's life; they only ever follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Everything is served.
    Serving,
    /// Everything is still served, but no client is invited to stay.
    Draining,
    /// Nothing new is accepted; open connections finish what they have begun.
    Closing,
    /// Everything still open is dropped.
    Cut,
}

/// Moves the server from phase to phase. Dropping it counts as [`Phase::Cut`].
#[derive(Debug)]
pub(super) struct Lead(watch::Sender<Phase>);

impl Lead {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    pub(super) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    pub(super) fn follow(&self) -> Follow {
        Follow(self.0.subscribe())
    }
}

/// Sees in which phase the server is.
#[derive(Debug, Clone)]
pub(super) struct Follow(watch::Receiver<Phase>);

impl Follow {
    /// Whether `phase` has been entered, or a later one.
    pub(super) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until `phase` is entered, or a later one.
    pub(super) async fn reached(&mut self, phase: Phase) {
        // An error says that the lead is gone, and nothing may outlive it.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}
