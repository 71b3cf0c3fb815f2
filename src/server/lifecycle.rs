//! The lifecycle of the server: its stages, and how its tasks follow them.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The two ways in which the caller stops a server.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled on the first signal. The server stops being ready at once, keeps serving for `Limits::drain`, and then
    /// finishes what is open.
    pub drain: CancellationToken,
    /// Cancelled on the second signal. The server closes every connection at once.
    pub abort: CancellationToken,
}

/// A stage of a server's life. Stages are only ever entered in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The server accepts and serves.
    Serving,
    /// The server still accepts and serves, but reports that it is not ready and keeps no connection open after its next
    /// response.
    Draining,
    /// The server accepts nothing new. Open connections finish their requests.
    Closing,
    /// The server closes every connection at once.
    Aborted,
}

/// Moves one port of the server through the stages. Dropping it aborts.
#[derive(Debug)]
pub(super) struct StageSender(watch::Sender<Stage>);

impl StageSender {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }

    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    pub(super) fn subscribe(&self) -> StageReceiver {
        StageReceiver(self.0.subscribe())
    }
}

/// Follows the stages of one port of the server.
#[derive(Debug, Clone)]
pub(super) struct StageReceiver(watch::Receiver<Stage>);

impl StageReceiver {
    /// Whether `stage` or a later one has been entered.
    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    /// Waits until `stage` or a later one is entered.
    pub(super) async fn reached(&mut self, stage: Stage) {
        // An error means that the sender was dropped, which aborts.
        let _ = self.0.wait_for(|now| *now >= stage).await;
    }
}
